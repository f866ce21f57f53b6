//! `nt_xent`: SimCLR's loss (Chen et al. 2020, eq. 1), normalisation included. The similarities are
//! made in tiles, forward and again backward, so memory grows with the batch and not with its square.
pub(super) mod cpu;
pub(super) mod tiles;

use crate::{
    Result, Tape, Tensor, Var,
    device::{
        Arch, Grid, Host, Kernel, KernelInfo, Parameters, Real,
        kernels::{NtXentBackward, NtXentForward, NtXentGradient, NtXentLoss, NtXentNorms},
    },
    tensor::Element,
};

pub use tiles::range_of_views as range;

/// The loss of z (2n, d): rows i and i + n are views of one image, every other row is a negative.
/// Mean over the 2n rows; f32, shape (1).
pub fn nt_xent(tape: &mut Tape, z: &Var, temperature: f32) -> Result<Var> {
    let kept = forward(&z.value, temperature)?;
    let (loss, z_value) = (kept.loss.clone(), z.value.clone());
    Ok(tape.record("nt_xent", [z], loss, move |dy, _| {
        Ok([Some(backward(&z_value, &kept, &dy, temperature)?)])
    }))
}

/// What forward makes: the loss (1), and of each row (2n) 1 / norm, log-sum-exp, and what backward on tensor
/// cores weighs it with.
pub struct Forward {
    pub loss: Tensor,
    pub inv_norm: Tensor,
    pub lse: Tensor,
    pub weight: Tensor,
    /// Columns of similarities that a row's sums are made of at a time.
    pub range: u32,
}

pub fn forward(z: &Tensor, temperature: f32) -> Result<Forward> {
    let [rows, d] = z.dims_of();
    let range = range(rows as u32, d as u32, temperature, z.device().arch());
    forward_in(z, temperature, range)
}

/// The same, and backward with it, in ranges of `range` columns: a multiple of 64.
pub fn forward_in(z: &Tensor, temperature: f32, range: u32) -> Result<Forward> {
    let [rows, d] = z.dims_of();
    assert!(
        rows >= 2 && rows % 2 == 0,
        "nt_xent: two views of each image, not {rows} rows"
    );
    assert!(temperature > 0.0, "nt_xent: temperature {temperature}");
    let (device, splits) = (z.device(), (rows as u32).div_ceil(range));
    let f32s = |n: usize| Tensor::uninit(device, Element::F32, [n]);
    let (inv_norm, positive) = (f32s(rows)?, f32s(rows)?);
    let parts = f32s(splits as usize * rows)?;
    let (lse, weight, loss) = (f32s(rows)?, f32s(rows)?, f32s(1)?);
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
        lse: parts.ptr(),
        positive: positive.ptr(),
        rows,
        d,
        splits,
        range,
        temperature,
    })?;
    device.launch(NtXentLoss {
        parts: parts.ptr(),
        positive: positive.ptr(),
        inv_norm: inv_norm.ptr(),
        lse: lse.ptr(),
        weight: weight.ptr(),
        loss: loss.ptr(),
        rows,
        splits,
        temperature,
    })?;
    Ok(Forward {
        loss,
        inv_norm,
        lse,
        weight,
        range,
    })
}

/// dz (2n, d), given dy (1).
pub fn backward(z: &Tensor, kept: &Forward, dy: &Tensor, temperature: f32) -> Result<Tensor> {
    let ([rows, d], device) = (z.dims_of(), z.device());
    let splits = (rows as u32).div_ceil(kept.range);
    let sums = Tensor::uninit(device, Element::F32, [splits as usize, rows, d])?;
    let dz = Tensor::uninit(device, Element::Real, [rows, d])?;
    let (rows, d) = (rows as u32, d as u32);
    device.launch(NtXentBackward {
        z: z.ptr(),
        inv_norm: kept.inv_norm.ptr(),
        lse: kept.lse.ptr(),
        weight: kept.weight.ptr(),
        sums: sums.ptr(),
        rows,
        d,
        splits,
        range: kept.range,
        temperature,
    })?;
    device.launch(NtXentGradient {
        z: z.ptr(),
        inv_norm: kept.inv_norm.ptr(),
        sums: sums.ptr(),
        dy: dy.ptr(),
        dz: dz.ptr(),
        rows,
        d,
        splits,
        temperature,
    })?;
    Ok(dz)
}

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
    fn kernel(&self, arch: Arch) -> &'static KernelInfo {
        let all = [Self::INFO, Self::D64, Self::D128, Self::D256];
        tiles::kernel(self.d, self.temperature, arch, all)
    }
    fn grid(&self, arch: Arch) -> Grid {
        let tile = tiles::tensor_cores(self.d, self.temperature, arch);
        tiles::grid(tile, self.rows, self.splits, 1, tiles::KNOWN_BYTES)
    }
    fn bytes(&self, real: Real) -> u64 {
        self.rows as u64 * (self.d as u64 * real.bytes() + 8 + 4 * self.splits as u64)
    }
    fn flops(&self) -> u64 {
        2 * (self.rows as u64).pow(2) * self.d as u64
    }
    fn on_cpu(&self, memory: &Host) {
        cpu::forward(self, memory);
    }
}

impl Kernel for NtXentLoss {
    fn grid(&self, _: Arch) -> Grid {
        let warps = self.rows.div_ceil(32).clamp(1, 32);
        Grid::blocks([1, 1, 1], [32 * warps, 1, 1])
    }
    fn bytes(&self, _: Real) -> u64 {
        self.rows as u64 * (16 + 4 * self.splits as u64)
    }
    fn on_cpu(&self, memory: &Host) {
        let (rows, splits) = (self.rows as usize, self.splits as usize);
        let parts = memory.read::<f32>(self.parts, splits * rows);
        let positive = memory.read::<f32>(self.positive, rows);
        let inv_norm = memory.read::<f32>(self.inv_norm, rows);
        let lse = memory.write::<f32>(self.lse, rows);
        let weight = memory.write::<f32>(self.weight, rows);
        let mut sum = 0.0;
        for row in 0..rows {
            let parts: Vec<f32> = (0..splits).map(|split| parts[split * rows + row]).collect();
            lse[row] = cpu::log_sum_exp(&parts);
            weight[row] = (1.0 / self.temperature - lse[row]).exp() * inv_norm[row];
            sum += (lse[row] - positive[row]) as f64;
        }
        memory.write::<f32>(self.loss, 1)[0] = (sum / rows as f64) as f32;
    }
}

impl Kernel for NtXentBackward {
    fn kernel(&self, arch: Arch) -> &'static KernelInfo {
        let all = [Self::INFO, Self::D64, Self::D128, Self::D256];
        tiles::kernel(self.d, self.temperature, arch, all)
    }
    fn grid(&self, arch: Arch) -> Grid {
        let tile = tiles::tensor_cores(self.d, self.temperature, arch);
        let layers = self.d.div_ceil(tiles::GRADIENT_COLS);
        tiles::grid(tile, self.rows, self.splits, layers, tiles::KNOWN_BYTES)
    }
    fn bytes(&self, real: Real) -> u64 {
        let (rows, d, splits) = (self.rows as u64, self.d as u64, self.splits as u64);
        rows * (d * real.bytes() + 12 + 4 * splits * d)
    }
    fn flops(&self) -> u64 {
        4 * (self.rows as u64).pow(2) * self.d as u64
    }
    fn on_cpu(&self, memory: &Host) {
        cpu::backward(self, memory);
    }
}

impl Kernel for NtXentGradient {
    fn grid(&self, _: Arch) -> Grid {
        Grid::blocks([self.rows.div_ceil(8), 1, 1], [256, 1, 1])
    }
    fn bytes(&self, real: Real) -> u64 {
        let (rows, d, splits) = (self.rows as u64, self.d as u64, self.splits as u64);
        rows * (4 + d * (2 * real.bytes() + 4 * splits))
    }
    fn on_cpu(&self, memory: &Host) {
        let (rows, d, splits) = (self.rows as usize, self.d as usize, self.splits as usize);
        let z = memory.read::<f32>(self.z, rows * d);
        let inv_norm = memory.read::<f32>(self.inv_norm, rows);
        let sums = memory.read::<f32>(self.sums, splits * rows * d);
        let dz = memory.write::<f32>(self.dz, rows * d);
        let scale = memory.read::<f32>(self.dy, 1)[0] / (rows as f32 * self.temperature);
        for (at, dz) in dz.iter_mut().enumerate() {
            *dz = (0..splits).map(|split| sums[split * rows * d + at]).sum();
        }
        for (row, dz) in dz.chunks_exact_mut(d).enumerate() {
            let (z, inv_norm) = (&z[row * d..][..d], inv_norm[row]);
            let along: f32 = dz.iter().zip(z).map(|(dz, z)| dz * z * inv_norm).sum();
            for (dz, z) in dz.iter_mut().zip(z) {
                *dz = scale * inv_norm * (*dz - z * inv_norm * along);
            }
        }
    }
}
