//! `nt_xent`: SimCLR's loss (Chen et al. 2020, eq. 1), normalisation included. The similarities are
//! made in tiles, forward and again backward, so memory grows with the batch and not with its square.
use crate::{
    Result, Tape, Tensor, Var,
    device::{
        Arch, Grid, Host, Kernel, Matrix, MatrixMut, Ptr, Real, host_matmul,
        kernels::{NtXentBackward, NtXentForward, NtXentLoss, NtXentNorms},
    },
    tensor::Element,
};
use rayon::prelude::*;

/// The loss of z (2n, d): rows i and i + n are views of one image, every other row is a negative.
/// Mean over the 2n rows; f32, shape (1).
pub fn nt_xent(tape: &mut Tape, z: &Var, temperature: f32) -> Result<Var> {
    let kept = forward(&z.value, temperature)?;
    let (loss, z_value) = (kept.loss.clone(), z.value.clone());
    Ok(tape.record("nt_xent", [z], loss, move |dy, _| {
        Ok([Some(backward(&z_value, &kept, &dy, temperature)?)])
    }))
}

/// What forward makes: the loss (1), and 1 / norm (2n) and log-sum-exp (2n) of each row.
pub struct Forward {
    pub loss: Tensor,
    pub inv_norm: Tensor,
    pub lse: Tensor,
}

pub fn forward(z: &Tensor, temperature: f32) -> Result<Forward> {
    let [rows, d] = z.dims_of();
    assert!(
        rows >= 2 && rows % 2 == 0,
        "nt_xent: two views of each image, not {rows} rows"
    );
    assert!(temperature > 0.0, "nt_xent: temperature {temperature}");
    let device = z.device();
    let [inv_norm, lse, positive] = [(); 3].map(|()| Tensor::uninit(device, Element::F32, [rows]));
    let (inv_norm, lse, positive) = (inv_norm?, lse?, positive?);
    let loss = Tensor::uninit(device, Element::F32, [1])?;
    let (rows, d) = (rows as u32, d as u32);
    device.launch(NtXentNorms {
        z: z.ptr(),
        inv_norm: inv_norm.ptr(),
        rows,
        d,
    })?;
    device.launch(NtXentForward {
        z: z.ptr(),
        inv_norm: inv_norm.ptr(),
        lse: lse.ptr(),
        positive: positive.ptr(),
        rows,
        d,
        temperature,
    })?;
    device.launch(NtXentLoss {
        lse: lse.ptr(),
        positive: positive.ptr(),
        loss: loss.ptr(),
        rows,
    })?;
    Ok(Forward {
        loss,
        inv_norm,
        lse,
    })
}

/// dz (2n, d), given dy (1).
pub fn backward(z: &Tensor, kept: &Forward, dy: &Tensor, temperature: f32) -> Result<Tensor> {
    let [rows, d] = z.dims_of();
    let dz = Tensor::uninit(z.device(), Element::Real, [rows, d])?;
    z.device().launch(NtXentBackward {
        z: z.ptr(),
        inv_norm: kept.inv_norm.ptr(),
        lse: kept.lse.ptr(),
        dy: dy.ptr(),
        dz: dz.ptr(),
        rows: rows as u32,
        d: d as u32,
        temperature,
    })?;
    Ok(dz)
}

/// Rows of a block, and columns of d whose gradient one block sums in registers; as in the kernel.
const TILE_ROWS: u32 = 32;
const GRADIENT_COLS: u32 = 128;
/// Rows whose similarities to all others a CPU thread holds at a time.
const HOST_ROWS: usize = 64;

impl Kernel for NtXentNorms {
    fn grid(&self, _: Arch) -> Grid {
        Grid::rows(self.rows, self.d)
    }
    fn bytes(&self, real: Real) -> u64 {
        self.rows as u64 * (self.d as u64 * real.bytes() + 4)
    }
    fn on_cpu(&self, memory: &Host) {
        let (rows, d) = (self.rows as usize, self.d as usize);
        let z = memory.read::<f32>(self.z, rows * d);
        let inv_norm = memory.write::<f32>(self.inv_norm, rows);
        for (inv_norm, z) in inv_norm.iter_mut().zip(z.chunks_exact(d)) {
            *inv_norm = 1.0 / z.iter().map(|z| z * z).sum::<f32>().sqrt().max(1e-12);
        }
    }
}

impl Kernel for NtXentForward {
    fn grid(&self, _: Arch) -> Grid {
        Grid::blocks([self.rows.div_ceil(TILE_ROWS), 1, 1], [256, 1, 1])
    }
    fn bytes(&self, real: Real) -> u64 {
        self.rows as u64 * (self.d as u64 * real.bytes() + 12)
    }
    fn flops(&self) -> u64 {
        2 * (self.rows as u64).pow(2) * self.d as u64
    }
    fn on_cpu(&self, memory: &Host) {
        let (rows, d) = (self.rows as usize, self.d as usize);
        let zhat = normalised(memory, self.z, self.inv_norm, rows, d);
        let lse = memory.write::<f32>(self.lse, rows);
        let positive = memory.write::<f32>(self.positive, rows);
        lse.par_chunks_mut(HOST_ROWS)
            .zip(positive.par_chunks_mut(HOST_ROWS))
            .enumerate()
            .for_each(|(tile, (lse, positive))| {
                let first = tile * HOST_ROWS;
                let mut cosines = similarities(&zhat, d, first, lse.len());
                for (i, s) in cosines.chunks_exact_mut(rows).enumerate() {
                    s.iter_mut().for_each(|s| *s /= self.temperature);
                    positive[i] = s[(first + i + rows / 2) % rows];
                    s[first + i] = f32::NEG_INFINITY; // a view is not its own negative
                    let most = s.iter().fold(f32::NEG_INFINITY, |most, &s| most.max(s));
                    lse[i] = most + s.iter().map(|s| (s - most).exp()).sum::<f32>().ln();
                }
            });
    }
}

impl Kernel for NtXentLoss {
    fn grid(&self, _: Arch) -> Grid {
        Grid::rows(1, self.rows)
    }
    fn bytes(&self, _: Real) -> u64 {
        8 * self.rows as u64
    }
    fn on_cpu(&self, memory: &Host) {
        let rows = self.rows as usize;
        let lse = memory.read::<f32>(self.lse, rows);
        let positive = memory.read::<f32>(self.positive, rows);
        let sum: f64 = lse.iter().zip(positive).map(|(l, p)| (l - p) as f64).sum();
        memory.write::<f32>(self.loss, 1)[0] = (sum / rows as f64) as f32;
    }
}

impl Kernel for NtXentBackward {
    fn grid(&self, _: Arch) -> Grid {
        let blocks = [
            self.rows.div_ceil(TILE_ROWS),
            self.d.div_ceil(GRADIENT_COLS),
            1,
        ];
        Grid::blocks(blocks, [256, 1, 1])
    }
    fn bytes(&self, real: Real) -> u64 {
        self.rows as u64 * (2 * self.d as u64 * real.bytes() + 8)
    }
    fn flops(&self) -> u64 {
        4 * (self.rows as u64).pow(2) * self.d as u64
    }
    fn on_cpu(&self, memory: &Host) {
        let (rows, d) = (self.rows as usize, self.d as usize);
        let zhat = normalised(memory, self.z, self.inv_norm, rows, d);
        let inv_norm = memory.read::<f32>(self.inv_norm, rows);
        let lse = memory.read::<f32>(self.lse, rows);
        let scale = memory.read::<f32>(self.dy, 1)[0] / (rows as f32 * self.temperature);
        let dz = memory.write::<f32>(self.dz, rows * d);
        dz.par_chunks_mut(HOST_ROWS * d)
            .enumerate()
            .for_each(|(tile, dz)| {
                let (first, count) = (tile * HOST_ROWS, dz.len() / d);
                let mut g = similarities(&zhat, d, first, count);
                let along = weights(&mut g, lse, first, self.temperature);
                let (g, all) = (Matrix::new(&g, count, rows), Matrix::new(&zhat, rows, d));
                host_matmul(MatrixMut::new(dz, count, d), g, all, false);
                for (i, dz) in dz.chunks_exact_mut(d).enumerate() {
                    let zhat = &zhat[(first + i) * d..][..d];
                    let scale = scale * inv_norm[first + i];
                    for (dz, zhat) in dz.iter_mut().zip(zhat) {
                        *dz = scale * (*dz - zhat * along[i]);
                    }
                }
            });
    }
}

/// z with rows of length 1.
fn normalised(memory: &Host, z: Ptr, inv_norm: Ptr, rows: usize, d: usize) -> Vec<f32> {
    let z = memory.read::<f32>(z, rows * d);
    let inv_norm = memory.read::<f32>(inv_norm, rows);
    let scaled = |(z, inv): (&[f32], &f32)| z.iter().map(|z| z * inv).collect::<Vec<_>>();
    z.chunks_exact(d).zip(inv_norm).flat_map(scaled).collect()
}

/// The cosines (count, rows) of rows `first..first + count` with every row.
fn similarities(zhat: &[f32], d: usize, first: usize, count: usize) -> Vec<f32> {
    let rows = zhat.len() / d;
    let mut cosines = vec![0.0; count * rows];
    let tile = Matrix::new(&zhat[first * d..][..count * d], count, d);
    let all = Matrix::new(zhat, rows, d).transposed();
    host_matmul(MatrixMut::new(&mut cosines, count, rows), tile, all, false);
    cosines
}

/// Cosines become G = P + Pᵀ - Y - Yᵀ, in place; returns each row's sum of G times cosine.
fn weights(g: &mut [f32], lse: &[f32], first: usize, temperature: f32) -> Vec<f32> {
    let rows = lse.len();
    let row_of = |(i, g): (usize, &mut [f32])| {
        let row = first + i;
        let other = (row + rows / 2) % rows;
        let mut along = 0.0;
        for (column, (g, lse_column)) in g.iter_mut().zip(lse).enumerate() {
            let (cosine, s) = (*g, *g / temperature);
            let positive = if column == other { 2.0 } else { 0.0 };
            *g = (s - lse[row]).exp() + (s - lse_column).exp() - positive;
            if column == row {
                *g = 0.0;
            }
            along += *g * cosine;
        }
        along
    };
    g.chunks_exact_mut(rows).enumerate().map(row_of).collect()
}
