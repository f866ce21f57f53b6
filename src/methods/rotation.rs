//! RotNet (Gidaris et al. 2018, arXiv 1803.07728): by how many quarters was an image turned?
use super::{Batch, Method, Objective};
use crate::{
    Result, Var,
    nn::{Pass, ResNet, layers::Linear},
    ops,
};

pub struct Rotation {
    pub encoder: ResNet,
    /// Features to 0, 1, 2 or 3 quarters.
    pub classifier: Linear,
}

impl Method for Rotation {
    fn loss(&mut self, pass: &mut Pass, batch: &Batch) -> Result<Objective> {
        let views = Var::constant(batch.views[0].clone());
        let features = self.encoder.forward(pass, &views)?; // (n, features)
        let logits = self.classifier.forward(pass, &features)?; // (n, 4)
        Ok(Objective {
            loss: ops::cross_entropy(&mut pass.tape, &logits, &batch.targets)?,
            embeddings: features.value,
            codes: None,
        })
    }
}
