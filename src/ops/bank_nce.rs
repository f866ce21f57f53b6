//! `bank_nce`: each v told from the rows of a memory bank that are not its own image's, by noise-contrastive
//! estimation (NPID, Wu et al. 2018, arXiv 1805.01978; PIRL, Misra and van der Maaten 2019, arXiv 1912.01991).
//!
//! s_k is the cosine of v and the bank's row m_k: k = 0 is its own image, k = 1..=K its negatives. The
//! (n, K + 1, d) rows are never copied together: they are gathered where they lie, forward and backward.
mod cpu;

use crate::{
    Result, Tape, Tensor, Var,
    device::{
        Arch, Grid, Host, Kernel, Ptr, Real,
        kernels::{
            BankNceBackward, BankNceConstant, BankNceLoss, BankNceScores, BankNceSoftmaxLoss,
            CrossEntropyMean, NtXentGradient,
        },
    },
    tensor::Element,
};

/// The bank's rows that each v is compared with.
#[derive(Clone, Debug)]
pub struct Candidates {
    /// (images, d) f32, rows of length 1. No gradient flows to it, and it must not move before backward.
    pub bank: Tensor,
    /// (n) u32: the row of v's own image.
    pub positives: Tensor,
    /// (n, K) u32: the rows of others, as `draw_negatives` has it.
    pub negatives: Tensor,
}

/// What is asked of the scores s_k. The loss is the mean over v.
#[derive(Clone, Debug)]
pub enum Form {
    /// Which of K + 1 rows is v's: -log softmax(s / temperature) at k = 0 (InfoNCE).
    Softmax,
    /// Whether a row is v's or noise, for each row: with x_k = exp(s_k / temperature) / Z, c = K / images and
    /// ε of f32, as VISSL has it, -ln(x_0 / (x_0 + c + ε)) - Σ ln(c / (x_k + c + ε)) over k > 0.
    Nce {
        /// Z, f32 (1). Where it is 0, this call's scores set it: images mean(exp(s / temperature)). From
        /// then on it is constant, as the gradient takes it to be; it goes into checkpoints.
        constant: Tensor,
    },
}

impl Candidates {
    /// n, K + 1, images, d.
    fn dims(&self) -> [usize; 4] {
        let ([images, d], [rows, count]) = (self.bank.dims_of(), self.negatives.dims_of());
        let elements = [&self.bank, &self.positives, &self.negatives].map(Tensor::element);
        let expected = [Element::F32, Element::U32, Element::U32];
        assert_eq!(
            elements, expected,
            "bank_nce: bank, positives and negatives"
        );
        assert_eq!(self.positives.dims(), [rows], "bank_nce: positives");
        [rows, count + 1, images, d]
    }
    /// c of the formula.
    fn noise(&self) -> f32 {
        let [_, columns, images, _] = self.dims();
        ((columns - 1) as f64 / images as f64) as f32
    }
}

/// The loss, f32 (1), of v (n, d) of any length.
pub fn bank_nce(
    tape: &mut Tape,
    v: &Var,
    among: &Candidates,
    form: &Form,
    temperature: f32,
) -> Result<Var> {
    let kept = forward(&v.value, among, form, temperature)?;
    let (value, loss) = (v.value.clone(), kept.loss.clone());
    let (among, form) = (among.clone(), form.clone());
    Ok(tape.record("bank_nce", [v], loss, move |dy, _| {
        Ok([Some(backward(
            &value,
            &among,
            &form,
            temperature,
            &kept,
            &dy,
        )?)])
    }))
}

/// What forward makes: the loss (1); 1 / |v| (n), the scores (n, K + 1) and, of softmax, their
/// log-sum-exp (n), for backward.
pub struct Forward {
    pub loss: Tensor,
    pub inv_norm: Tensor,
    pub scores: Tensor,
    pub lse: Option<Tensor>,
}

pub fn forward(v: &Tensor, among: &Candidates, form: &Form, temperature: f32) -> Result<Forward> {
    let (device, [rows, columns, images, d]) = (v.device(), among.dims());
    assert_eq!(v.dims(), [rows, d], "bank_nce: v for {among:?}");
    assert!(temperature > 0.0, "bank_nce: temperature {temperature}");
    let f32s = |n: usize| Tensor::uninit(device, Element::F32, [n]);
    let (inv_norm, losses, loss) = (f32s(rows)?, f32s(rows)?, f32s(1)?);
    let scores = Tensor::uninit(device, Element::F32, [rows, columns])?;
    device.launch(BankNceScores {
        v: v.ptr(),
        bank: among.bank.ptr(),
        positives: among.positives.ptr(),
        negatives: among.negatives.ptr(),
        inv_norm: inv_norm.ptr(),
        scores: scores.ptr(),
        rows: rows as u32,
        columns: columns as u32,
        images: images as u32,
        d: d as u32,
        range: RANGE,
    })?;
    let mut lse = None;
    match form {
        Form::Softmax => {
            let lse = lse.insert(f32s(rows)?);
            device.launch(BankNceSoftmaxLoss {
                scores: scores.ptr(),
                lse: lse.ptr(),
                losses: losses.ptr(),
                rows: rows as u32,
                columns: columns as u32,
                temperature,
            })?;
        }
        Form::Nce { constant } => {
            set_constant(constant, &scores, images, temperature)?;
            device.launch(BankNceLoss {
                scores: scores.ptr(),
                constant: constant.ptr(),
                losses: losses.ptr(),
                rows: rows as u32,
                columns: columns as u32,
                temperature,
                noise: among.noise(),
            })?;
        }
    }
    device.launch(CrossEntropyMean {
        losses: losses.ptr(),
        loss: loss.ptr(),
        rows: rows as u32,
    })?;
    Ok(Forward {
        loss,
        inv_norm,
        scores,
        lse,
    })
}

fn set_constant(constant: &Tensor, scores: &Tensor, images: usize, temperature: f32) -> Result<()> {
    let found = (constant.len(), constant.element());
    assert_eq!(found, (1, Element::F32), "bank_nce: constant");
    assert!(
        (images as f32 * (1.0 / temperature).exp()).is_finite(),
        "bank_nce: Z is no f32 at temperature {temperature}"
    );
    scores.device().launch(BankNceConstant {
        scores: scores.ptr(),
        constant: constant.ptr(),
        n: scores.len() as u64,
        images: images as u32,
        temperature,
    })
}

/// dv (n, d), given dy (1): with h_k the probability that row k is v's own, and v̂ = v / |v|,
/// dv̂ = dy / (n temperature) (Σ h_k m_k - m_0), and dv = (dv̂ - v̂ <v̂, dv̂>) / |v|.
pub fn backward(
    v: &Tensor,
    among: &Candidates,
    form: &Form,
    temperature: f32,
    kept: &Forward,
    dy: &Tensor,
) -> Result<Tensor> {
    let (device, [rows, columns, images, d]) = (v.device(), among.dims());
    let splits = columns.div_ceil(RANGE as usize);
    let sums = Tensor::uninit(device, Element::F32, [splits, rows, d])?;
    let dv = Tensor::uninit(device, Element::Real, [rows, d])?;
    device.launch(BankNceBackward {
        bank: among.bank.ptr(),
        positives: among.positives.ptr(),
        negatives: among.negatives.ptr(),
        scores: kept.scores.ptr(),
        lse: kept.lse.as_ref().map_or(Ptr::NULL, Tensor::ptr),
        constant: match form {
            Form::Nce { constant } => constant.ptr(),
            Form::Softmax => Ptr::NULL,
        },
        sums: sums.ptr(),
        rows: rows as u32,
        columns: columns as u32,
        images: images as u32,
        d: d as u32,
        range: RANGE,
        temperature,
        noise: among.noise(),
    })?;
    device.launch(NtXentGradient {
        z: v.ptr(),
        inv_norm: kept.inv_norm.ptr(),
        sums: sums.ptr(),
        dy: dy.ptr(),
        dz: dv.ptr(),
        rows: rows as u32,
        d: d as u32,
        splits: splits as u32,
        temperature,
    })?;
    Ok(dv)
}

/// Columns of a block: 64 gathered rows a warp, eight at a time. With 4,096 negatives a batch of 32 is two
/// blocks a multiprocessor, and backward's sums are 1 / 512 of what it gathers.
const RANGE: u32 = 512;
/// Elements of d that one block of the backward kernel sums: a pack of 4 a lane, or one where d is no
/// multiple of 4.
fn depth(d: u32) -> u32 {
    if d.is_multiple_of(4) { 128 } else { 32 }
}

/// What gathering moves: every candidate's row comes from memory, as in a bank that no cache holds.
fn gathered(rows: u32, columns: u32, d: u32) -> u64 {
    let (rows, columns) = (rows as u64, columns as u64);
    rows * columns * (4 + 4 * d as u64)
}

impl Kernel for BankNceScores {
    fn grid(&self, _: Arch) -> Grid {
        let blocks = [self.columns.div_ceil(self.range), self.rows, 1];
        Grid::blocks(blocks, [256, 1, 1])
    }
    fn bytes(&self, real: Real) -> u64 {
        let (rows, columns) = (self.rows as u64, self.columns as u64);
        let kept = rows * (self.d as u64 * real.bytes() + 4 + 4 * columns);
        kept + gathered(self.rows, self.columns, self.d)
    }
    fn flops(&self) -> u64 {
        2 * self.rows as u64 * self.columns as u64 * self.d as u64
    }
    fn on_cpu(&self, memory: &Host) {
        cpu::scores(self, memory);
    }
}

impl Kernel for BankNceConstant {
    fn grid(&self, _: Arch) -> Grid {
        Grid::blocks([1, 1, 1], [1024, 1, 1])
    }
    /// That Z is known already: all scores are read in one step of a training.
    fn bytes(&self, _: Real) -> u64 {
        4
    }
    fn on_cpu(&self, memory: &Host) {
        cpu::constant(self, memory);
    }
}

impl Kernel for BankNceLoss {
    fn grid(&self, _: Arch) -> Grid {
        Grid::rows(self.rows, self.columns)
    }
    fn bytes(&self, _: Real) -> u64 {
        4 * self.rows as u64 * (self.columns as u64 + 1)
    }
    fn on_cpu(&self, memory: &Host) {
        cpu::nce_loss(self, memory);
    }
}

impl Kernel for BankNceSoftmaxLoss {
    fn grid(&self, _: Arch) -> Grid {
        Grid::rows(self.rows, self.columns)
    }
    fn bytes(&self, _: Real) -> u64 {
        4 * self.rows as u64 * (self.columns as u64 + 2)
    }
    fn on_cpu(&self, memory: &Host) {
        cpu::softmax_loss(self, memory);
    }
}

impl Kernel for BankNceBackward {
    fn grid(&self, _: Arch) -> Grid {
        let splits = self.columns.div_ceil(self.range);
        let blocks = [splits, self.rows, self.d.div_ceil(depth(self.d))];
        Grid::blocks(blocks, [256, 1, 1])
    }
    fn bytes(&self, _: Real) -> u64 {
        let (rows, columns) = (self.rows as u64, self.columns as u64);
        let splits = columns.div_ceil(self.range as u64);
        let kept = 4 * rows * (columns + splits * self.d as u64);
        kept + gathered(self.rows, self.columns, self.d)
    }
    fn flops(&self) -> u64 {
        2 * self.rows as u64 * self.columns as u64 * self.d as u64
    }
    fn on_cpu(&self, memory: &Host) {
        cpu::backward(self, memory);
    }
}
