//! Self-supervised methods: each says which views of an image it wants, and what loss it asks of them.
//! A method is a plain struct, its fields its paper's hyperparameters and memory; sharing is by ops.
pub mod simclr;

pub use simclr::SimClr;

use crate::{
    Result, Tensor, Var,
    nn::{Params, Pass},
};

/// One batch, on the device.
pub struct Batch {
    /// Images in it: n.
    pub images: usize,
    /// One tensor for each resolution, views stacked: rows v n + i show image i, (views n, s, s, 3) real.
    pub views: Vec<Tensor>,
    /// (n) u32: each image's place in the data.
    pub ids: Tensor,
}

pub trait Method {
    /// The loss of one batch, f32, a scalar; what gradients must flow through is recorded on `pass`.
    ///
    /// A step may be captured and its launches replayed: this and `after_step` are then called once for
    /// many steps. What changes from one to the next (a queue's place) lies in device memory.
    fn loss(&mut self, pass: &mut Pass, batch: &Batch) -> Result<Var>;
    /// Called once the optimizer has moved `params`.
    fn after_step(&mut self, _params: &Params) -> Result<()> {
        Ok(())
    }
    /// What must survive a restart besides the parameters, by name.
    fn memory(&mut self) -> Vec<(&'static str, &mut Tensor)> {
        Vec::new()
    }
}
