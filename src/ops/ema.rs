//! `ema`: target = momentum target + (1 - momentum) source: a slow copy of what is trained. Not recorded.
use super::flat_grid;
use crate::{
    Result, Tensor,
    device::{Arch, Grid, Host, Kernel, Real, kernels::Ema},
    tensor::Element,
};
use rayon::prelude::*;

/// Moves `target` in place towards `source`, both f32 and of one length.
pub fn ema(target: &Tensor, source: &Tensor, momentum: f32) -> Result<()> {
    assert_eq!(target.shape(), source.shape(), "ema: two shapes");
    let elements = (target.element(), source.element());
    assert_eq!(elements, (Element::F32, Element::F32), "ema");
    target.device().launch(Ema {
        target: target.ptr(),
        source: source.ptr(),
        n: target.len() as u64,
        momentum,
    })
}

const CHUNK: usize = 1 << 15; // elements a rayon task

impl Kernel for Ema {
    fn grid(&self, _: Arch) -> Grid {
        flat_grid(self.n)
    }
    fn bytes(&self, _: Real) -> u64 {
        12 * self.n
    }
    fn on_cpu(&self, memory: &Host) {
        let n = self.n as usize;
        let target = memory.write::<f32>(self.target, n).par_chunks_mut(CHUNK);
        let source = memory.read::<f32>(self.source, n).par_chunks(CHUNK);
        let (kept, new) = (self.momentum, 1.0 - self.momentum);
        target.zip(source).for_each(|(target, source)| {
            for (target, source) in target.iter_mut().zip(source) {
                *target = kept * *target + new * source;
            }
        });
    }
}
