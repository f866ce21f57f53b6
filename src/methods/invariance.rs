//! f(I) = f(augment(I)) and nothing else: what the contrastive methods add, seen by leaving it out. The
//! loss has a trivial solution, the same vector for every image, and training finds it.
use super::{Batch, Method, Objective};
use crate::{
    Result, Var,
    nn::{Pass, Projector, ResNet},
    ops,
};

pub struct Invariance {
    pub encoder: ResNet,
    pub head: Projector,
}

impl Method for Invariance {
    /// The mean over images of 1 - cos(z, z'), z and z' of its two views.
    fn loss(&mut self, pass: &mut Pass, batch: &Batch) -> Result<Objective> {
        let mut embed = |view| {
            let h = self
                .encoder
                .forward(pass, &Var::constant(batch.view(view)))?;
            self.head.forward(pass, &h) // (n, d)
        };
        let (z, other) = (embed(0)?, embed(1)?);
        Ok(Objective {
            loss: ops::cosine_distance(&mut pass.tape, &z, &other)?,
            embeddings: z.value,
            codes: None,
        })
    }
}
