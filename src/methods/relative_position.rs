//! Relative patch position (Doersch et al. 2015, arXiv 1505.05192): on which of eight sides of a patch does
//! another one lie?
use super::{Batch, Method, Objective};
use crate::{
    Result, Tensor, Var,
    nn::{
        Pass, ResNet,
        layers::{BatchNorm, Linear},
    },
    ops::{self, dropout::Drops},
};

pub struct RelativePosition {
    pub encoder: ResNet,
    /// Of a pair of patches.
    pub hidden: Linear,
    pub norm: BatchNorm,
    /// Share of the hidden units dropped.
    pub dropout: f32,
    pub classifier: Linear,
    /// (8n) u32: the side of each pair, 0 to 7 for each image.
    pub sides: Tensor,
    pub seed: u64,
}

impl Method for RelativePosition {
    /// The centre is paired with each of its neighbours.
    fn loss(&mut self, pass: &mut Pass, batch: &Batch) -> Result<Objective> {
        let patches = Var::constant(batch.views[0].clone());
        let features = self.encoder.forward(pass, &patches)?; // (9n, features)
        let pairs = ops::pair_patches(&mut pass.tape, &features)?; // (8n, 2 features)
        let h = self.hidden.forward(pass, &pairs)?;
        let h = self.norm.forward_relu(pass, &h, None)?;
        let drops = Drops {
            probability: self.dropout,
            seed: self.seed,
            step: batch.step.clone(),
            layer: 0,
        };
        let h = ops::dropout(&mut pass.tape, &h, &drops)?;
        let logits = self.classifier.forward(pass, &h)?; // (8n, 8)
        Ok(Objective {
            loss: ops::cross_entropy(&mut pass.tape, &logits, &self.sides)?,
            embeddings: features.value,
            codes: None,
        })
    }
}
