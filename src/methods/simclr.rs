//! SimCLR (Chen et al. 2020, arXiv 2002.05709): two views of an image are each other's positive, and
//! every other view in the batch is a negative.
use super::{Batch, InParts, Method, Objective};
use crate::{
    Result, Tape, Var,
    nn::{Pass, Projector, ResNet},
    ops,
};

pub struct SimClr {
    /// f of the paper: what is kept.
    pub encoder: ResNet,
    /// g: what is thrown away.
    pub head: Projector,
    /// τ, eq. 1.
    pub temperature: f32,
}

impl Method for SimClr {
    fn loss(&mut self, pass: &mut Pass, batch: &Batch) -> Result<Objective> {
        let z = self.embed(pass, batch)?;
        Ok(Objective {
            loss: self.contrast(&mut pass.tape, &z)?,
            embeddings: z.value,
            codes: None,
        })
    }

    fn in_parts(&mut self) -> Option<&mut dyn InParts> {
        Some(self)
    }
}

impl InParts for SimClr {
    fn embed(&mut self, pass: &mut Pass, batch: &Batch) -> Result<Var> {
        let views = Var::constant(batch.views[0].clone());
        assert_eq!(views.value.dims()[0], 2 * batch.images, "simclr: two views");
        let h = self.encoder.forward(pass, &views)?; // (2n, features)
        self.head.forward(pass, &h) // (2n, d)
    }

    /// NT-Xent, eq. 1: the mean over all 2n views of `-log softmax(similarity)[positive]`.
    /// The views come stacked: rows i and i + n show the same image.
    fn contrast(&mut self, tape: &mut Tape, z: &Var) -> Result<Var> {
        ops::nt_xent(tape, z, self.temperature)
    }
}
