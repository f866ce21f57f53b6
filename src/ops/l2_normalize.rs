//! `l2_normalize`: y = x / max(|x|, 1e-12), row by row.
use crate::{
    Result, Tape, Tensor, Var,
    device::{
        Arch, Grid, Host, Kernel, Real,
        kernels::{L2NormalizeBackward, L2NormalizeForward},
    },
    tensor::Element,
};
use rayon::prelude::*;

/// The rows of x (rows, cols), each of length 1.
pub fn l2_normalize(tape: &mut Tape, x: &Var) -> Result<Var> {
    let (y, inv_norm) = forward(&x.value)?;
    Ok(tape.record("l2_normalize", [x], y.clone(), move |dy, _| {
        Ok([Some(backward(&y, &inv_norm, &dy)?)])
    }))
}

/// y (rows, cols), and 1 / norm (rows) f32.
pub fn forward(x: &Tensor) -> Result<(Tensor, Tensor)> {
    let [rows, cols] = x.dims_of();
    let y = Tensor::uninit(x.device(), Element::Real, [rows, cols])?;
    let inv_norm = Tensor::uninit(x.device(), Element::F32, [rows])?;
    x.device().launch(L2NormalizeForward {
        x: x.ptr(),
        y: y.ptr(),
        inv_norm: inv_norm.ptr(),
        rows: rows as u32,
        cols: cols as u32,
    })?;
    Ok((y, inv_norm))
}

/// dx = (dy - y <y, dy>) / norm.
pub fn backward(y: &Tensor, inv_norm: &Tensor, dy: &Tensor) -> Result<Tensor> {
    let [rows, cols] = y.dims_of();
    let dx = Tensor::uninit(y.device(), Element::Real, [rows, cols])?;
    y.device().launch(L2NormalizeBackward {
        y: y.ptr(),
        inv_norm: inv_norm.ptr(),
        dy: dy.ptr(),
        dx: dx.ptr(),
        rows: rows as u32,
        cols: cols as u32,
    })?;
    Ok(dx)
}

/// <a, b>, in an order that depends on the length alone.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl Kernel for L2NormalizeForward {
    fn grid(&self, _: Arch) -> Grid {
        Grid::rows(self.rows, self.cols)
    }
    fn bytes(&self, real: Real) -> u64 {
        self.rows as u64 * (2 * self.cols as u64 * real.bytes() + 4)
    }
    fn on_cpu(&self, memory: &Host) {
        let (rows, cols) = (self.rows as usize, self.cols as usize);
        let x = memory.read::<f32>(self.x, rows * cols);
        let y = memory.write::<f32>(self.y, rows * cols);
        let inv_norm = memory.write::<f32>(self.inv_norm, rows);
        y.par_chunks_mut(cols)
            .zip(x.par_chunks(cols))
            .zip(inv_norm)
            .for_each(|((y, x), inv_norm)| {
                *inv_norm = 1.0 / dot(x, x).sqrt().max(1e-12);
                y.iter_mut().zip(x).for_each(|(y, x)| *y = x * *inv_norm);
            });
    }
}

impl Kernel for L2NormalizeBackward {
    fn grid(&self, _: Arch) -> Grid {
        Grid::rows(self.rows, self.cols)
    }
    fn bytes(&self, real: Real) -> u64 {
        self.rows as u64 * (3 * self.cols as u64 * real.bytes() + 4)
    }
    fn on_cpu(&self, memory: &Host) {
        let (rows, cols) = (self.rows as usize, self.cols as usize);
        let y = memory.read::<f32>(self.y, rows * cols);
        let dy = memory.read::<f32>(self.dy, rows * cols);
        let inv_norm = memory.read::<f32>(self.inv_norm, rows);
        let dx = memory.write::<f32>(self.dx, rows * cols);
        dx.par_chunks_mut(cols)
            .zip(y.par_chunks(cols).zip(dy.par_chunks(cols)))
            .zip(inv_norm)
            .for_each(|((dx, (y, dy)), inv_norm)| {
                let along = dot(y, dy);
                for ((dx, y), dy) in dx.iter_mut().zip(y).zip(dy) {
                    *dx = (dy - y * along) * inv_norm;
                }
            });
    }
}
