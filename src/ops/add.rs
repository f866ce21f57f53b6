//! `add`: y = a + b, element by element; the sum of a residual block.
use super::flat_grid;
use crate::{
    Result, Tape, Tensor, Var,
    device::{
        Arch, Grid, Host, Kernel, Ptr, Real,
        kernels::{Add, AddF32},
    },
    tensor::Element,
};
use rayon::prelude::*;

/// y = a + b, of one shape.
pub fn add(tape: &mut Tape, a: &Var, b: &Var) -> Result<Var> {
    let y = forward(&a.value, &b.value)?;
    Ok(tape.record("add", [a, b], y, |dy, _| Ok([Some(dy.clone()), Some(dy)])))
}

pub fn forward(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    assert_eq!(a.shape(), b.shape(), "add: two shapes");
    let y = Tensor::uninit(a.device(), Element::Real, a.shape().clone())?;
    a.device().launch(Add {
        a: a.ptr(),
        b: b.ptr(),
        y: y.ptr(),
        n: a.len() as u64,
    })?;
    Ok(y)
}

const CHUNK: usize = 1 << 15; // elements a rayon task

fn add_on_cpu(memory: &Host, [a, b, y]: [Ptr; 3], n: u64) {
    let n = n as usize;
    // A value may be added to itself: the two inputs may be one.
    let (a, b, y) = (
        memory.read::<f32>(a, n),
        memory.read::<f32>(b, n),
        memory.write::<f32>(y, n),
    );
    let inputs = a.par_chunks(CHUNK).zip(b.par_chunks(CHUNK));
    y.par_chunks_mut(CHUNK).zip(inputs).for_each(|(y, (a, b))| {
        y.iter_mut()
            .zip(a)
            .zip(b)
            .for_each(|((y, a), b)| *y = a + b);
    });
}

impl Kernel for Add {
    fn grid(&self, _: Arch) -> Grid {
        flat_grid(self.n)
    }
    fn bytes(&self, real: Real) -> u64 {
        3 * real.bytes() * self.n
    }
    fn on_cpu(&self, memory: &Host) {
        add_on_cpu(memory, [self.a, self.b, self.y], self.n);
    }
}

impl Kernel for AddF32 {
    fn grid(&self, _: Arch) -> Grid {
        flat_grid(self.n)
    }
    fn bytes(&self, _: Real) -> u64 {
        12 * self.n
    }
    fn on_cpu(&self, memory: &Host) {
        add_on_cpu(memory, [self.a, self.b, self.y], self.n);
    }
}
