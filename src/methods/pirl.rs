//! PIRL (Misra and van der Maaten 2020, arXiv 1912.01991): an image and what a pretext task makes of it have
//! one representation, kept in a memory bank, and other images' rows of the bank are the negatives.
use super::{Batch, Method, Objective};
use crate::{
    Result, Tensor, Var,
    nn::{Pass, Projector, ResNet, layers::Linear},
    ops::{
        self,
        bank_nce::{Candidates, Form},
        draw_negatives::draw_negatives,
    },
};

pub struct Pirl {
    pub encoder: ResNet,
    /// f: of the image.
    pub head: Projector,
    /// g: of the transformed image.
    pub transformed: Transformed,
    /// m: a representation of each image, (images, d) f32, of length 1.
    pub bank: Tensor,
    /// How a representation is told from the negatives.
    pub form: Form,
    /// N: negatives an image.
    pub negatives: usize,
    pub temperature: f32,
    /// λ, eq. 5: the transformed image's share of the loss.
    pub lambda: f32,
    /// What stays of a row of the bank.
    pub momentum: f32,
    pub seed: u64,
}

/// The head of what was made of the image.
pub enum Transformed {
    /// Nine patches, each through one projector, side by side in the order given, through a linear layer.
    Jigsaw {
        patch: Projector,
        /// Whether a relu follows the projector.
        relu: bool,
        all: Linear,
    },
    /// The image turned.
    Rotation(Projector),
}

impl Method for Pirl {
    /// Eq. 5: `λ L(m_I, g(v_T)) + (1 - λ) L(m_I, f(v_I))`. The bank moves once both were compared with it.
    fn loss(&mut self, pass: &mut Pass, batch: &Batch) -> Result<Objective> {
        let n = batch.images;
        let image = self.image(pass, &batch.views[0])?; // (n, d)
        let transformed = self.transformed(pass, &batch.views[1], n)?; // (n, d)
        let images = self.bank.dims()[0];
        let among = Candidates {
            bank: self.bank.clone(),
            positives: batch.ids.clone(),
            negatives: draw_negatives(self.seed, &batch.step, [n, self.negatives], images)?,
        };
        let t = &mut pass.tape;
        // The first fixes Z, where there is one.
        let first = ops::bank_nce(t, &transformed, &among, &self.form, self.temperature)?;
        let second = ops::bank_nce(t, &image, &among, &self.form, self.temperature)?;
        Ok(Objective {
            loss: ops::weighted_sum(t, [self.lambda, 1.0 - self.lambda], [&first, &second])?,
            embeddings: image.value,
            codes: None,
        })
    }

    /// m_I becomes that of the image, not of the transformed one.
    fn after_backward(&mut self, batch: &Batch, step: &Objective) -> Result<()> {
        ops::bank_update(&self.bank, &step.embeddings, &batch.ids, self.momentum)
    }

    fn memory(&mut self) -> Vec<(&'static str, &mut Tensor)> {
        let mut memory = vec![("bank", &mut self.bank)];
        if let Form::Nce { constant } = &mut self.form {
            memory.push(("z", constant));
        }
        memory
    }
}

impl Pirl {
    fn image(&self, pass: &mut Pass, views: &Tensor) -> Result<Var> {
        let h = self.encoder.forward(pass, &Var::constant(views.clone()))?;
        self.head.forward(pass, &h)
    }

    fn transformed(&self, pass: &mut Pass, views: &Tensor, n: usize) -> Result<Var> {
        let h = self.encoder.forward(pass, &Var::constant(views.clone()))?;
        match &self.transformed {
            Transformed::Rotation(head) => head.forward(pass, &h),
            Transformed::Jigsaw { patch, relu, all } => {
                let mut z = patch.forward(pass, &h)?; // (9n, d), an image's patches together
                if *relu {
                    z = ops::relu(&mut pass.tape, &z)?;
                }
                let d = z.value.dims()[1];
                let z = ops::reshape(&mut pass.tape, &z, [n, 9 * d])?;
                all.forward(pass, &z)
            }
        }
    }
}
