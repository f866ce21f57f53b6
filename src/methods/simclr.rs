//! SimCLR (Chen et al. 2020, arXiv 2002.05709): two views of an image are each other's positive, and
//! every other view in the batch is a negative.
use super::{Batch, Method};
use crate::{
    Result, Var,
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
    /// NT-Xent, eq. 1: the mean over all 2n views of `-log softmax(similarity)[positive]`.
    /// The views come stacked: rows i and i + n show the same image.
    fn loss(&mut self, pass: &mut Pass, batch: &Batch) -> Result<Var> {
        let [views] = &batch.views[..] else {
            panic!("simclr: two views of one size")
        };
        assert_eq!(
            views.dims()[0],
            2 * batch.images,
            "simclr: two views an image"
        );
        let h = self.encoder.forward(pass, &Var::constant(views.clone()))?; // (2n, features)
        let z = self.head.forward(pass, &h)?; // (2n, d)
        ops::nt_xent(&mut pass.tape, &z, self.temperature)
    }
}
