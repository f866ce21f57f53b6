//! Jigsaw puzzles (Noroozi and Favaro 2016, arXiv 1603.09246): by which permutation were an image's nine
//! patches shuffled?
use super::{Batch, Method, Objective};
use crate::{
    Result, Var,
    nn::{
        Pass, ResNet,
        layers::{BatchNorm, Linear},
    },
    ops,
};

pub struct Jigsaw {
    pub encoder: ResNet,
    /// Of each patch by itself.
    pub patch: Linear,
    pub norm: BatchNorm,
    /// Of the nine side by side: a permutation.
    pub classifier: Linear,
}

impl Method for Jigsaw {
    fn loss(&mut self, pass: &mut Pass, batch: &Batch) -> Result<Objective> {
        let patches = Var::constant(batch.views[0].clone());
        let features = self.encoder.forward(pass, &patches)?; // (9n, features)
        let h = self.patch.forward(pass, &features)?;
        let h = self.norm.forward_relu(pass, &h, None)?; // (9n, d), an image's patches together
        let d = h.value.dims()[1];
        let h = ops::reshape(&mut pass.tape, &h, [batch.images, 9 * d])?;
        let logits = self.classifier.forward(pass, &h)?; // (n, permutations)
        Ok(Objective {
            loss: ops::cross_entropy(&mut pass.tape, &logits, &batch.targets)?,
            embeddings: features.value,
            codes: None,
        })
    }
}
