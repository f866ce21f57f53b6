//! `relu`: y = max(x, 0), element by element.
use super::flat_grid;
use crate::{
    Result, Tape, Tensor, Var,
    device::{
        Arch, Grid, Host, Kernel, Real,
        kernels::{ReluBackward, ReluForward},
    },
    tensor::Element,
};
use rayon::prelude::*;

/// y = max(x, 0), any shape.
pub fn relu(tape: &mut Tape, x: &Var) -> Result<Var> {
    let y = forward(&x.value)?;
    Ok(tape.record("relu", [x], y.clone(), move |dy, _| {
        Ok([Some(backward(&y, &dy)?)])
    }))
}

pub fn forward(x: &Tensor) -> Result<Tensor> {
    let y = Tensor::uninit(x.device(), Element::Real, x.shape().clone())?;
    x.device().launch(ReluForward {
        x: x.ptr(),
        y: y.ptr(),
        n: x.len() as u64,
    })?;
    Ok(y)
}

/// dx from the output alone: dy where y > 0.
pub fn backward(y: &Tensor, dy: &Tensor) -> Result<Tensor> {
    let dx = Tensor::uninit(y.device(), Element::Real, y.shape().clone())?;
    y.device().launch(ReluBackward {
        y: y.ptr(),
        dy: dy.ptr(),
        dx: dx.ptr(),
        n: y.len() as u64,
    })?;
    Ok(dx)
}

/// Elements a rayon task handles: large enough to pay for its start, small enough to balance.
const CHUNK: usize = 1 << 15;

impl Kernel for ReluForward {
    fn grid(&self, _: Arch) -> Grid {
        flat_grid(self.n)
    }
    fn bytes(&self, real: Real) -> u64 {
        2 * real.bytes() * self.n
    }
    fn on_cpu(&self, memory: &Host) {
        let n = self.n as usize;
        let (x, y) = (
            memory.read::<f32>(self.x, n),
            memory.write::<f32>(self.y, n),
        );
        y.par_chunks_mut(CHUNK)
            .zip(x.par_chunks(CHUNK))
            .for_each(|(y, x)| {
                y.iter_mut().zip(x).for_each(|(y, x)| *y = x.max(0.0));
            });
    }
}

impl Kernel for ReluBackward {
    fn grid(&self, _: Arch) -> Grid {
        flat_grid(self.n)
    }
    fn bytes(&self, real: Real) -> u64 {
        3 * real.bytes() * self.n
    }
    fn on_cpu(&self, memory: &Host) {
        let n = self.n as usize;
        let (y, dy) = (
            memory.read::<f32>(self.y, n),
            memory.read::<f32>(self.dy, n),
        );
        let dx = memory.write::<f32>(self.dx, n);
        let inputs = y.par_chunks(CHUNK).zip(dy.par_chunks(CHUNK));
        dx.par_chunks_mut(CHUNK)
            .zip(inputs)
            .for_each(|(dx, (y, dy))| {
                for ((dx, y), dy) in dx.iter_mut().zip(y).zip(dy) {
                    *dx = if *y > 0.0 { *dy } else { 0.0 };
                }
            });
    }
}
