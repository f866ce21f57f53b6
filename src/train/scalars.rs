//! What a schedule changes from step to step, in device memory: kernels read it there, so that the
//! launches of every step are the same.
use crate::{Device, Result, Tensor};

pub struct Scalars {
    words: Tensor,
    /// u32 (1).
    pub epoch: Tensor,
    /// u32 (1): steps done before this one.
    pub step: Tensor,
    /// f32 (2): of the tensors that the optimizer's rule adapts, and of the others.
    pub lr: Tensor,
}

/// Of `words`: the epoch, the step, then the learning rates.
const WORDS: usize = 4;

impl Scalars {
    pub fn new(device: &Device) -> Result<Scalars> {
        let words = Tensor::from_u32(device, [WORDS], &[0; WORDS])?;
        Ok(Scalars {
            epoch: words.slice(0, [1]),
            step: words.slice(1, [1]),
            lr: words.slice(2, [2]).as_f32(),
            words,
        })
    }

    /// One upload, before a step's launches.
    pub fn set(&self, epoch: u32, step: u64, lr: [f64; 2]) -> Result<()> {
        let [lr, other] = lr.map(|lr| (lr as f32).to_bits());
        self.words.overwrite(&[epoch, step as u32, lr, other])
    }
}
