//! `info_nce`: InfoNCE (van den Oord et al. 2018) as MoCo has it (He et al. 2020, eq. 1): each query has a
//! positive of its own and negatives that all share, a queue or a bank. Normalisation included. The
//! similarities are made in tiles, forward and again backward, and never stored.
mod cpu;

use super::nt_xent::tiles;
use crate::{
    Result, Tape, Tensor, Var,
    device::{
        Arch, Grid, Host, Kernel, KernelInfo, Parameters, Real,
        kernels::{
            InfoNceBackward, InfoNceForward, InfoNceKeyGradient, InfoNceLoss, InfoNcePositive,
            InfoNceQueryGradient,
        },
    },
    tensor::Element,
};
pub use tiles::range_of_negatives as range;

/// The mean over rows of -log softmax([cos(q, k), q's cosines with `negatives`] / temperature) at the first;
/// f32, shape (1). q, k (n, d), of any length; negatives (count, d) real, of length 1, to which no gradient
/// flows, and which must not change before backward has run.
pub fn info_nce(
    tape: &mut Tape,
    q: &Var,
    k: &Var,
    negatives: &Tensor,
    temperature: f32,
) -> Result<Var> {
    let kept = forward(&q.value, &k.value, negatives, temperature)?;
    let loss = kept.loss.clone();
    Ok(
        tape.record("info_nce", [q, k], loss, move |dy, [need_q, need_k]| {
            Ok([
                need_q.then(|| kept.backward_q(&dy)).transpose()?,
                need_k.then(|| kept.backward_k(&dy)).transpose()?,
            ])
        }),
    )
}

/// What forward makes: the loss (1), and of each row (n) 1 / norm of q and of k, the positive's logit, and the
/// log-sum-exp of all; with what backward reads again.
pub struct Forward {
    pub loss: Tensor,
    pub q_inv_norm: Tensor,
    pub k_inv_norm: Tensor,
    pub positive: Tensor,
    pub lse: Tensor,
    q: Tensor,
    k: Tensor,
    negatives: Tensor,
    temperature: f32,
    range: u32,
}

pub fn forward(q: &Tensor, k: &Tensor, negatives: &Tensor, temperature: f32) -> Result<Forward> {
    let ([rows, d], [count, _]) = (q.dims_of(), negatives.dims_of());
    let arch = q.device().arch();
    let range = range(rows as u32, count as u32, d as u32, temperature, arch);
    forward_in(q, k, negatives, temperature, range)
}

/// The same, and backward with it, in ranges of `range` negatives: a multiple of 64.
pub fn forward_in(
    q: &Tensor,
    k: &Tensor,
    negatives: &Tensor,
    temperature: f32,
    range: u32,
) -> Result<Forward> {
    let ([rows, d], [count, width]) = (q.dims_of(), negatives.dims_of());
    assert!(
        q.shape() == k.shape() && d == width,
        "info_nce: q is {q:?}, k is {k:?}, the negatives are {negatives:?}"
    );
    assert!(rows * count > 0, "info_nce: {q:?}, {negatives:?}");
    assert!(temperature > 0.0, "info_nce: temperature {temperature}");
    let splits = (count as u32).div_ceil(range);
    let f32s = |n: usize| Tensor::uninit(q.device(), Element::F32, [n]);
    let kept = Forward {
        loss: f32s(1)?,
        q_inv_norm: f32s(rows)?,
        k_inv_norm: f32s(rows)?,
        positive: f32s(rows)?,
        lse: f32s(rows)?,
        q: q.clone(),
        k: k.clone(),
        negatives: negatives.clone(),
        temperature,
        range,
    };
    kept.launch(&f32s(splits as usize * rows)?)?;
    Ok(kept)
}

impl Forward {
    /// Rows, negatives, d, and ranges of negatives.
    fn sizes(&self) -> [u32; 4] {
        let ([rows, d], [count, _]) = (self.q.dims_of(), self.negatives.dims_of());
        let [rows, count, d] = [rows, count, d].map(|n| n as u32);
        [rows, count, d, count.div_ceil(self.range)]
    }

    /// `parts` (splits, rows) f32: log-sum-exp of each range.
    fn launch(&self, parts: &Tensor) -> Result<()> {
        let ([rows, count, d, splits], device) = (self.sizes(), self.q.device());
        device.launch(InfoNcePositive {
            q: self.q.ptr(),
            k: self.k.ptr(),
            q_inv_norm: self.q_inv_norm.ptr(),
            k_inv_norm: self.k_inv_norm.ptr(),
            positive: self.positive.ptr(),
            rows,
            d,
            temperature: self.temperature,
        })?;
        device.launch(InfoNceForward {
            q: self.q.ptr(),
            inv_norm: self.q_inv_norm.ptr(),
            negatives: self.negatives.ptr(),
            lse: parts.ptr(),
            rows,
            count,
            d,
            splits,
            range: self.range,
            temperature: self.temperature,
        })?;
        device.launch(InfoNceLoss {
            parts: parts.ptr(),
            positive: self.positive.ptr(),
            lse: self.lse.ptr(),
            loss: self.loss.ptr(),
            rows,
            splits,
        })
    }

    /// dq (n, d), given dy (1).
    pub fn backward_q(&self, dy: &Tensor) -> Result<Tensor> {
        let ([rows, count, d, splits], device) = (self.sizes(), self.q.device());
        let shape = [splits as usize, rows as usize, d as usize];
        let sums = Tensor::uninit(device, Element::F32, shape)?;
        let dq = Tensor::uninit(device, Element::Real, self.q.shape().clone())?;
        device.launch(InfoNceBackward {
            q: self.q.ptr(),
            inv_norm: self.q_inv_norm.ptr(),
            negatives: self.negatives.ptr(),
            lse: self.lse.ptr(),
            sums: sums.ptr(),
            rows,
            count,
            d,
            splits,
            range: self.range,
            temperature: self.temperature,
        })?;
        device.launch(InfoNceQueryGradient {
            q: self.q.ptr(),
            k: self.k.ptr(),
            q_inv_norm: self.q_inv_norm.ptr(),
            k_inv_norm: self.k_inv_norm.ptr(),
            positive: self.positive.ptr(),
            lse: self.lse.ptr(),
            sums: sums.ptr(),
            dy: dy.ptr(),
            dq: dq.ptr(),
            rows,
            d,
            splits,
            temperature: self.temperature,
        })?;
        Ok(dq)
    }

    /// dk (n, d), given dy (1).
    pub fn backward_k(&self, dy: &Tensor) -> Result<Tensor> {
        let [rows, _, d, _] = self.sizes();
        let dk = Tensor::uninit(self.k.device(), Element::Real, self.k.shape().clone())?;
        self.k.device().launch(InfoNceKeyGradient {
            q: self.q.ptr(),
            k: self.k.ptr(),
            q_inv_norm: self.q_inv_norm.ptr(),
            k_inv_norm: self.k_inv_norm.ptr(),
            positive: self.positive.ptr(),
            lse: self.lse.ptr(),
            dy: dy.ptr(),
            dk: dk.ptr(),
            rows,
            d,
            temperature: self.temperature,
        })?;
        Ok(dk)
    }
}

impl Kernel for InfoNcePositive {
    fn grid(&self, _: Arch) -> Grid {
        Grid::blocks([self.rows.div_ceil(8), 1, 1], [256, 1, 1])
    }
    fn bytes(&self, real: Real) -> u64 {
        self.rows as u64 * (2 * self.d as u64 * real.bytes() + 12)
    }
    fn on_cpu(&self, memory: &Host) {
        cpu::positive(self, memory);
    }
}

impl Kernel for InfoNceForward {
    fn kernel(&self, arch: Arch) -> &'static KernelInfo {
        let all = [Self::INFO, Self::D64, Self::D128, Self::D256];
        tiles::kernel(self.d, self.temperature, arch, all)
    }
    fn grid(&self, arch: Arch) -> Grid {
        let tile = tiles::tensor_cores(self.d, self.temperature, arch);
        tiles::grid(tile, self.rows, self.splits, 1, 0)
    }
    fn bytes(&self, real: Real) -> u64 {
        let (rows, count, splits) = (self.rows as u64, self.count as u64, self.splits as u64);
        (rows + count) * self.d as u64 * real.bytes() + rows * (4 + 4 * splits)
    }
    fn flops(&self) -> u64 {
        2 * self.rows as u64 * self.count as u64 * self.d as u64
    }
    fn on_cpu(&self, memory: &Host) {
        cpu::forward(self, memory);
    }
}

impl Kernel for InfoNceLoss {
    fn grid(&self, _: Arch) -> Grid {
        let warps = self.rows.div_ceil(32).clamp(1, 32);
        Grid::blocks([1, 1, 1], [32 * warps, 1, 1])
    }
    fn bytes(&self, _: Real) -> u64 {
        self.rows as u64 * (8 + 4 * self.splits as u64)
    }
    fn on_cpu(&self, memory: &Host) {
        cpu::loss(self, memory);
    }
}

impl Kernel for InfoNceBackward {
    fn kernel(&self, arch: Arch) -> &'static KernelInfo {
        let all = [Self::INFO, Self::D64, Self::D128, Self::D256];
        tiles::kernel(self.d, self.temperature, arch, all)
    }
    fn grid(&self, arch: Arch) -> Grid {
        let tile = tiles::tensor_cores(self.d, self.temperature, arch);
        let layers = self.d.div_ceil(tiles::GRADIENT_COLS);
        tiles::grid(tile, self.rows, self.splits, layers, 0)
    }
    fn bytes(&self, real: Real) -> u64 {
        let (rows, count, d) = (self.rows as u64, self.count as u64, self.d as u64);
        (rows + count) * d * real.bytes() + rows * (8 + 4 * self.splits as u64 * d)
    }
    fn flops(&self) -> u64 {
        4 * self.rows as u64 * self.count as u64 * self.d as u64
    }
    fn on_cpu(&self, memory: &Host) {
        cpu::backward(self, memory);
    }
}

impl Kernel for InfoNceQueryGradient {
    fn grid(&self, _: Arch) -> Grid {
        Grid::rows(self.rows, self.d)
    }
    fn bytes(&self, real: Real) -> u64 {
        let (rows, d, splits) = (self.rows as u64, self.d as u64, self.splits as u64);
        rows * (16 + d * (3 * real.bytes() + 4 * (splits + 1)))
    }
    fn on_cpu(&self, memory: &Host) {
        cpu::query_gradient(self, memory);
    }
}

impl Kernel for InfoNceKeyGradient {
    fn grid(&self, _: Arch) -> Grid {
        Grid::blocks([self.rows.div_ceil(8), 1, 1], [256, 1, 1])
    }
    fn bytes(&self, real: Real) -> u64 {
        self.rows as u64 * (16 + 3 * self.d as u64 * real.bytes())
    }
    fn on_cpu(&self, memory: &Host) {
        cpu::key_gradient(self, memory);
    }
}
