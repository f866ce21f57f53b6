//! Cross-entropy on labels: the baseline of every table, and the only method here that looks at them.
use super::{Batch, Method, Objective};
use crate::{
    Result, Var,
    nn::{Pass, ResNet, layers::Linear},
    ops,
};

pub struct Supervised {
    pub encoder: ResNet,
    /// Features to classes.
    pub classifier: Linear,
}

impl Method for Supervised {
    fn loss(&mut self, pass: &mut Pass, batch: &Batch) -> Result<Objective> {
        let views = Var::constant(batch.views[0].clone());
        let features = self.encoder.forward(pass, &views)?; // (n, features)
        let logits = self.classifier.forward(pass, &features)?; // (n, classes)
        Ok(Objective {
            loss: ops::cross_entropy(&mut pass.tape, &logits, &batch.labels)?,
            embeddings: features.value,
            codes: None,
        })
    }
}
