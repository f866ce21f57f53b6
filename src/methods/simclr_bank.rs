//! SimCLR with negatives from a memory: the embeddings of earlier batches, made by the network as it was then,
//! stand for other images (Wu et al. 2018, arXiv 1805.01978, with a queue for a memory, as lightly has it).
use super::{Batch, Method, Objective};
use crate::{
    Result, Tensor, Var,
    nn::{Pass, Projector, ResNet},
    ops,
};

pub struct SimClrBank {
    pub encoder: ResNet,
    pub head: Projector,
    /// Embeddings of earlier second views, of length 1: (N, d) real.
    pub bank: Tensor,
    /// (1) u32: where the next goes.
    pub pointer: Tensor,
    pub temperature: f32,
    /// Of this batch, until its gradient is known: (n, d), of length 1.
    pub latest: Option<Tensor>,
}

impl Method for SimClrBank {
    /// The mean over images of `-log softmax([z z', z bank] / τ)` at z', z and z' of its two views.
    fn loss(&mut self, pass: &mut Pass, batch: &Batch) -> Result<Objective> {
        let mut embed = |view| {
            let h = self
                .encoder
                .forward(pass, &Var::constant(batch.view(view)))?;
            self.head.forward(pass, &h) // (n, d)
        };
        let (z, other) = (embed(0)?, embed(1)?);
        self.latest = Some(ops::l2_normalize::forward(&other.value)?.0);
        let loss = ops::info_nce(&mut pass.tape, &z, &other, &self.bank, self.temperature)?;
        Ok(Objective {
            loss,
            embeddings: z.value,
            codes: None,
        })
    }

    fn after_backward(&mut self, _: &Batch, _: &Objective) -> Result<()> {
        let latest = self.latest.take().expect("a loss came before");
        ops::ring_push(&self.bank, &latest, &self.pointer)
    }

    fn memory(&mut self) -> Vec<(&'static str, &mut Tensor)> {
        vec![("bank", &mut self.bank), ("pointer", &mut self.pointer)]
    }
}
