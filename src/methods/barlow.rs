//! Barlow Twins (Zbontar et al. 2021, arXiv 2103.03230): the embeddings of two views agree in every
//! dimension, and no dimension says what another says.
use super::{Batch, Method, Objective};
use crate::{
    Result, Var,
    nn::{Pass, Projector, ResNet},
    ops::{
        self,
        batch_norm::{Mode, Running},
        copy,
    },
};

pub struct BarlowTwins {
    pub encoder: ResNet,
    pub head: Projector,
    /// λ: weight of the off-diagonal terms.
    pub off_diagonal: f32,
}

impl Method for BarlowTwins {
    /// Eq. 1: `sum (1 - C_ii)^2 + λ sum_{i != j} C_ij^2`, C the cross-correlation, along the batch, of the
    /// two views' embeddings, each dimension of which has mean 0 and variance 1.
    fn loss(&mut self, pass: &mut Pass, batch: &Batch) -> Result<Objective> {
        let mut embed = |view| {
            let h = self
                .encoder
                .forward(pass, &Var::constant(batch.view(view)))?;
            let z = self.head.forward(pass, &h)?; // (n, d)
            standardize(pass, &z)
        };
        let (z, other) = (embed(0)?, embed(1)?);
        let loss = ops::cross_correlation(&mut pass.tape, &z, &other, self.off_diagonal)?;
        Ok(Objective {
            loss,
            embeddings: z.value,
            codes: None,
        })
    }
}

/// Batch norm without scale and shift, of the batch's statistics; nothing is remembered.
fn standardize(pass: &mut Pass, z: &Var) -> Result<Var> {
    let d = z.value.dims()[1];
    let (one, zero) = (pass.constant_vector(d, 1.0)?, pass.constant_vector(d, 0.0)?);
    let forgotten = Running {
        mean: copy::full(z.value.device(), [d], 0.0)?,
        variance: copy::full(z.value.device(), [d], 1.0)?,
    };
    ops::batch_norm(&mut pass.tape, z, &one, &zero, &forgotten, Mode::Train)
}
