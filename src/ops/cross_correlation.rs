//! `cross_correlation`: Barlow Twins' loss (Zbontar et al. 2021, arXiv 2103.03230, eq. 1 and 2): the features
//! of one view correlate with themselves in the other, and with no other feature.
use super::{
    flat_grid,
    matmul::{
        self,
        Transpose::{No, Yes},
    },
};
use crate::{
    Result, Tape, Tensor, Var,
    device::{
        Arch, Grid, Host, Kernel, KernelInfo, Matrix, MatrixMut, Parameters, Real, host_matmul,
        kernels::{CrossCorrelationForward, CrossCorrelationLoss, CrossCorrelationScale},
    },
    tensor::Element,
};
use rayon::prelude::*;

/// The loss, f32 (1), of two views a, b (n, d) of n samples, standardised along n (a batch norm without scale
/// and shift): with C = aᵀ b / n, the sum of (1 - C_ii)^2 and off_diagonal times that of C_ij^2, i != j.
pub fn cross_correlation(tape: &mut Tape, a: &Var, b: &Var, off_diagonal: f32) -> Result<Var> {
    let kept = forward(&a.value, &b.value, off_diagonal)?;
    let (av, bv, dc) = (a.value.clone(), b.value.clone(), kept.dc);
    Ok(tape.record(
        "cross_correlation",
        [a, b],
        kept.loss,
        move |dy, [need_a, need_b]| {
            Ok([
                need_a.then(|| backward_a(&bv, &dc, &dy)).transpose()?,
                need_b.then(|| backward_b(&av, &dc, &dy)).transpose()?,
            ])
        },
    ))
}

/// What forward makes.
pub struct Forward {
    /// f32 (1).
    pub loss: Tensor,
    /// f32 (2): the sum of (1 - C_ii)^2, and that of C_ij^2.
    pub parts: Tensor,
    /// (d, d) real: the derivative of the loss by C, over n.
    pub dc: Tensor,
}

pub fn forward(a: &Tensor, b: &Tensor, off_diagonal: f32) -> Result<Forward> {
    assert_eq!(a.shape(), b.shape(), "cross_correlation: two shapes");
    let ([n, d], device) = (a.dims_of(), a.device());
    let dc = Tensor::uninit(device, Element::Real, [d, d])?;
    let f32s = |dims: &[usize]| Tensor::uninit(device, Element::F32, dims);
    let tiles = grid(d as u32, device.arch()).count() as usize;
    let (partial, parts, loss) = (f32s(&[tiles, 2])?, f32s(&[2])?, f32s(&[1])?);
    device.launch(CrossCorrelationForward {
        a: a.ptr(),
        b: b.ptr(),
        dc: dc.ptr(),
        partial: partial.ptr(),
        n: n as u32,
        d: d as u32,
        tiles: tiles as u32,
        off_diagonal,
    })?;
    device.launch(CrossCorrelationLoss {
        partial: partial.ptr(),
        parts: parts.ptr(),
        loss: loss.ptr(),
        tiles: tiles as u32,
        off_diagonal,
    })?;
    Ok(Forward { loss, parts, dc })
}

/// da = dy b dcᵀ, dy (1).
pub fn backward_a(b: &Tensor, dc: &Tensor, dy: &Tensor) -> Result<Tensor> {
    scaled(matmul::forward(b, dc, No, Yes)?, dy)
}

/// db = dy a dc, dy (1).
pub fn backward_b(a: &Tensor, dc: &Tensor, dy: &Tensor) -> Result<Tensor> {
    scaled(matmul::forward(a, dc, No, No)?, dy)
}

/// dy x, in the memory of x, which nobody else has.
fn scaled(x: Tensor, dy: &Tensor) -> Result<Tensor> {
    x.device().launch(CrossCorrelationScale {
        x: x.ptr(),
        dy: dy.ptr(),
        n: x.len() as u64,
    })?;
    Ok(x)
}

/// Side of a tile of the plain kernel, and of the CPU's.
const TILE: u32 = 64;

/// Tensor cores multiply bf16, and what is copied is eight columns that lie side by side.
fn has_tensor_cores(d: u32, arch: Arch) -> bool {
    arch.real == Real::Bf16 && arch.compute >= 80 && d.is_multiple_of(8)
}

/// A block a tile: 128 x 64 by four warps, in three stages of 128 bytes a row (`mma_tile.cuh`), or 64 x 64.
fn grid(d: u32, arch: Arch) -> Grid {
    match has_tensor_cores(d, arch) {
        true => Grid {
            shared_bytes: 3 * (128 + 64) * 128,
            ..Grid::tiles(d, d, [128, 64], [128, 1, 1])
        },
        false => Grid::tiles(d, d, [TILE, TILE], [256, 1, 1]),
    }
}

impl Kernel for CrossCorrelationForward {
    fn kernel(&self, arch: Arch) -> &'static KernelInfo {
        match has_tensor_cores(self.d, arch) {
            true => Self::TILE_128X64,
            false => Self::INFO,
        }
    }
    fn grid(&self, arch: Arch) -> Grid {
        grid(self.d, arch)
    }
    fn bytes(&self, real: Real) -> u64 {
        let (n, d) = (self.n as u64, self.d as u64);
        real.bytes() * (2 * n * d + d * d) + 8 * self.tiles as u64
    }
    fn flops(&self) -> u64 {
        2 * self.n as u64 * (self.d as u64).pow(2)
    }
    fn on_cpu(&self, memory: &Host) {
        let (n, d) = (self.n as usize, self.d as usize);
        let (a, b) = (
            memory.read::<f32>(self.a, n * d),
            memory.read::<f32>(self.b, n * d),
        );
        let dc = memory.write::<f32>(self.dc, d * d);
        let partial = memory.write::<f32>(self.partial, 2 * self.tiles as usize);
        let (side, across) = (TILE as usize, d.div_ceil(TILE as usize));
        let bands = dc
            .par_chunks_mut(side * d)
            .zip(partial.par_chunks_mut(2 * across));
        bands.enumerate().for_each(|(band, (dc, partial))| {
            let (first, rows) = (band * side, dc.len() / d);
            let columns_of_a = Matrix {
                data: &a[first..],
                rows,
                cols: n,
                row_stride: 1,
                col_stride: d,
            };
            let c = MatrixMut::new(dc, rows, d);
            host_matmul(c, columns_of_a, Matrix::new(b, n, d), false);
            let mut sums = vec![[0.0; 2]; across];
            for (row, dc) in dc.chunks_exact_mut(d).enumerate() {
                for (column, c) in dc.iter_mut().enumerate() {
                    *c = self.term(*c, first + row == column, &mut sums[column / side]);
                }
            }
            let sums = sums.as_flattened().iter().map(|&sum| sum as f32);
            partial
                .iter_mut()
                .zip(sums)
                .for_each(|(partial, sum)| *partial = sum);
        });
    }
}

impl CrossCorrelationForward {
    /// Adds the term of C = sum / n to those on the diagonal or off it; its derivative by C, over n.
    fn term(&self, sum: f32, on_diagonal: bool, [on, off]: &mut [f64; 2]) -> f32 {
        let c = sum / self.n as f32;
        match on_diagonal {
            true => *on += (1.0 - c as f64).powi(2),
            false => *off += (c as f64).powi(2),
        }
        let derivative = match on_diagonal {
            true => 2.0 * (c - 1.0),
            false => 2.0 * self.off_diagonal * c,
        };
        derivative / self.n as f32
    }
}

impl Kernel for CrossCorrelationLoss {
    fn grid(&self, _: Arch) -> Grid {
        Grid::rows(1, self.tiles)
    }
    fn bytes(&self, _: Real) -> u64 {
        8 * self.tiles as u64
    }
    fn on_cpu(&self, memory: &Host) {
        let partial = memory.read::<f32>(self.partial, 2 * self.tiles as usize);
        let sum = |part: usize| -> f64 {
            let terms = partial.iter().skip(part).step_by(2);
            terms.map(|&term| term as f64).sum()
        };
        let (on, off) = (sum(0), sum(1));
        let parts = memory.write::<f32>(self.parts, 2);
        parts.copy_from_slice(&[on as f32, off as f32]);
        memory.write::<f32>(self.loss, 1)[0] = (on + self.off_diagonal as f64 * off) as f32;
    }
}

impl Kernel for CrossCorrelationScale {
    fn grid(&self, _: Arch) -> Grid {
        flat_grid(self.n)
    }
    fn bytes(&self, real: Real) -> u64 {
        2 * self.n * real.bytes()
    }
    fn on_cpu(&self, memory: &Host) {
        let dy = memory.read::<f32>(self.dy, 1)[0];
        let x = memory.write::<f32>(self.x, self.n as usize);
        x.par_iter_mut().for_each(|x| *x *= dy);
    }
}
