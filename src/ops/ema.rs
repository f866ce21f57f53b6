//! `ema`: target = momentum target + (1 - momentum) source: a slow copy of what is trained. Not recorded.
use super::flat_grid;
use crate::{
    Result, Tensor,
    device::{Arch, Grid, Host, Kernel, Ptr, Real, kernels::Ema},
    tensor::Element,
};
use rayon::prelude::*;

/// Moves `target` in place towards `source`, both f32 and of one length; `reals`, the target in the device's
/// real numbers, follows.
pub fn ema(target: &Tensor, reals: Option<&Tensor>, source: &Tensor, momentum: f32) -> Result<()> {
    assert_eq!(target.shape(), source.shape(), "ema: two shapes");
    let elements = (target.element(), source.element());
    assert_eq!(elements, (Element::F32, Element::F32), "ema");
    if let Some(reals) = reals {
        let found = (reals.len(), reals.element());
        assert_eq!(found, (target.len(), Element::Real), "ema: reals");
    }
    target.device().launch(Ema {
        target: target.ptr(),
        reals: reals.map_or(Ptr::NULL, Tensor::ptr),
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
    fn bytes(&self, real: Real) -> u64 {
        let reals = if self.reals.is_null() {
            0
        } else {
            real.bytes()
        };
        (12 + reals) * self.n
    }
    fn on_cpu(&self, memory: &Host) {
        let n = self.n as usize;
        let target = memory.write::<f32>(self.target, n);
        let source = memory.read::<f32>(self.source, n).par_chunks(CHUNK);
        let (kept, new) = (self.momentum, 1.0 - self.momentum);
        let chunks = target.par_chunks_mut(CHUNK).zip(source);
        chunks.for_each(|(target, source)| {
            for (target, source) in target.iter_mut().zip(source) {
                *target = kept * *target + new * source;
            }
        });
        if !self.reals.is_null() {
            memory.write::<f32>(self.reals, n).copy_from_slice(target);
        }
    }
}
