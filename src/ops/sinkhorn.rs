//! `sinkhorn`: SwAV's codes (Caron et al. 2020, arXiv 2006.09882, eq. 3 to 5): samples are shared out among
//! prototypes, equally many to each, by as many rounds of Sinkhorn and Knopp's iteration as are asked for.
//! Not recorded: no gradient flows through codes.
//!
//! q_ik = u_k exp(s_ik / epsilon) v_i. A round makes u such that every prototype's sum over samples is one
//! number, then v such that every sample's sum over prototypes is 1; what is kept of a round is log u alone,
//! and sums are taken as log-sum-exp, so that no epsilon and no score overflows.
use crate::{
    Result, Tensor,
    device::{
        Arch, Grid, Host, Kernel, Ptr, Real,
        kernels::{
            SinkhornCodes, SinkhornCombine, SinkhornPrototypes, SinkhornRound, SinkhornSamples,
        },
    },
    tensor::Element,
};
use rayon::prelude::*;

/// How scores become codes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Assignment {
    /// How soft codes are: scores are divided by it.
    pub epsilon: f32,
    /// Rounds of balancing. None: the plain softmax of each sample, however few prototypes share all samples.
    pub iterations: u32,
    /// One-hot codes: the largest of each sample's, the first of several.
    pub hard: bool,
}

/// Codes (rows, K) f32 of the last `rows` samples of `scores` (n, K) real, cosines of samples with
/// prototypes. Those before only help to balance.
pub fn sinkhorn(scores: &Tensor, rows: usize, how: &Assignment) -> Result<Tensor> {
    let [_, prototypes] = scores.dims_of();
    let codes = Tensor::uninit(scores.device(), Element::F32, [rows, prototypes])?;
    write(scores, &codes, how)?;
    Ok(codes)
}

/// `sinkhorn` into `codes`, which may be a part of a larger tensor.
pub fn write(scores: &Tensor, codes: &Tensor, how: &Assignment) -> Result<()> {
    let ([n, prototypes], [rows, across]) = (scores.dims_of(), codes.dims_of());
    assert_eq!(
        (across, codes.element()),
        (prototypes, Element::F32),
        "sinkhorn: codes are {codes:?}, scores {}",
        scores.shape()
    );
    assert!(
        0 < rows && rows <= n,
        "sinkhorn: codes of {rows} among {n} samples"
    );
    assert!(how.epsilon > 0.0, "sinkhorn: epsilon {}", how.epsilon);
    let log_u = balance(scores, how)?;
    scores.device().launch(SinkhornCodes {
        scores: scores.rows(n - rows, rows).ptr(),
        log_u: log_u.as_ref().map_or(Ptr::NULL, Tensor::ptr),
        codes: codes.ptr(),
        rows: rows as u32,
        prototypes: prototypes as u32,
        hard: how.hard as u32,
        inv_epsilon: 1.0 / how.epsilon,
    })
}

/// log u (K), but for a number that all have in common; nothing without a round.
fn balance(scores: &Tensor, how: &Assignment) -> Result<Option<Tensor>> {
    if how.iterations == 0 {
        return Ok(None);
    }
    let ([n, prototypes], device) = (scores.dims_of(), scores.device());
    let chunk_rows = chunk_rows(n as u32);
    let chunks = (n as u32).div_ceil(chunk_rows);
    let f32s = |dims: &[usize]| Tensor::uninit(device, Element::F32, dims);
    let (log_u, partial) = (f32s(&[prototypes])?, f32s(&[chunks as usize, prototypes])?);
    let log_v = f32s(&[n])?;
    let (n, prototypes, inv_epsilon) = (n as u32, prototypes as u32, 1.0 / how.epsilon);
    let sum_prototypes = |log_v| {
        device.launch(SinkhornPrototypes {
            scores: scores.ptr(),
            log_v,
            partial: partial.ptr(),
            n,
            prototypes,
            chunk_rows,
            inv_epsilon,
        })
    };
    for round in 0..how.iterations {
        match round {
            0 => sum_prototypes(Ptr::NULL)?,
            _ if prototypes <= WIDEST_ROUND => device.launch(SinkhornRound {
                scores: scores.ptr(),
                log_u: log_u.ptr(),
                partial: partial.ptr(),
                n,
                prototypes,
                chunk_rows,
                inv_epsilon,
            })?,
            _ => {
                device.launch(SinkhornSamples {
                    scores: scores.ptr(),
                    log_u: log_u.ptr(),
                    log_v: log_v.ptr(),
                    n,
                    prototypes,
                    inv_epsilon,
                })?;
                sum_prototypes(log_v.ptr())?;
            }
        }
        device.launch(SinkhornCombine {
            partial: partial.ptr(),
            log_u: log_u.ptr(),
            chunks,
            prototypes,
        })?;
    }
    Ok(Some(log_u))
}

/// Rows of a chunk: four blocks on each of 132 multiprocessors, which hide one another's waits; sums of chunks
/// are then a quarter of what is read of bf16 scores. A matter of n alone, so that no device rounds otherwise.
pub fn chunk_rows(n: u32) -> u32 {
    n.div_ceil(4 * 132).max(4)
}

/// Prototypes of a thread of `SinkhornRound`, and of its widest block.
const HELD: u32 = 16;
const WIDEST_ROUND: u32 = 512 * HELD;
/// Of a pack.
const PACK: u32 = 8;

/// A block of whole warps for a row, a pack or more a thread.
fn row_grid(rows: u32, prototypes: u32) -> Grid {
    Grid::rows(rows, prototypes.div_ceil(PACK))
}

/// Scores over epsilon, plus log u.
fn exponents<'a>(
    scores: &'a [f32],
    log_u: Option<&'a [f32]>,
    inv_epsilon: f32,
) -> impl Iterator<Item = f32> + Clone + 'a {
    let at = move |(k, s): (usize, &f32)| s * inv_epsilon + log_u.map_or(0.0, |u| u[k]);
    scores.iter().enumerate().map(at)
}

fn log_sum_exp(s: impl Iterator<Item = f32> + Clone) -> f32 {
    let most = s.clone().fold(f32::NEG_INFINITY, f32::max);
    most + s.map(|s| (s - most).exp() as f64).sum::<f64>().ln() as f32
}

/// Of each column of `s` (rows, columns) plus its row's v, the log of the sum of exp.
fn column_log_sums<'a>(
    sums: &mut [f32],
    rows: impl Iterator<Item = (&'a [f32], f32)> + Clone,
    inv_epsilon: f32,
) {
    let mut most = vec![f32::NEG_INFINITY; sums.len()];
    for (s, v) in rows.clone() {
        let columns = most.iter_mut().zip(s);
        columns.for_each(|(most, s)| *most = most.max(s * inv_epsilon + v));
    }
    sums.fill(0.0);
    for (s, v) in rows {
        let columns = sums.iter_mut().zip(s).zip(&most);
        columns.for_each(|((sum, s), most)| *sum += (s * inv_epsilon + v - most).exp());
    }
    let columns = sums.iter_mut().zip(&most);
    columns.for_each(|(sum, most)| *sum = most + sum.ln());
}

impl Kernel for SinkhornPrototypes {
    fn grid(&self, _: Arch) -> Grid {
        let packs = self.prototypes.div_ceil(PACK);
        let chunks = self.n.div_ceil(self.chunk_rows);
        let threads = packs.next_multiple_of(32).min(128);
        Grid::blocks([packs.div_ceil(threads), chunks, 1], [threads, 1, 1])
    }
    fn bytes(&self, real: Real) -> u64 {
        let (n, chunks) = (self.n as u64, self.n.div_ceil(self.chunk_rows) as u64);
        let log_v = if self.log_v.is_null() { 0 } else { 4 * n };
        self.prototypes as u64 * (n * real.bytes() + 4 * chunks) + log_v
    }
    fn on_cpu(&self, memory: &Host) {
        let (n, prototypes) = (self.n as usize, self.prototypes as usize);
        let (rows, chunks) = (
            self.chunk_rows as usize,
            n.div_ceil(self.chunk_rows as usize),
        );
        let scores = memory.read::<f32>(self.scores, n * prototypes);
        let zeros = vec![0.0; if self.log_v.is_null() { n } else { 0 }];
        let log_v = match self.log_v.is_null() {
            true => &zeros,
            false => memory.read::<f32>(self.log_v, n),
        };
        let partial = memory.write::<f32>(self.partial, chunks * prototypes);
        let chunks = scores
            .par_chunks(rows * prototypes)
            .zip(log_v.par_chunks(rows));
        let sums = partial.par_chunks_mut(prototypes).zip(chunks);
        sums.for_each(|(sums, (scores, log_v))| {
            let rows = scores.chunks_exact(prototypes).zip(log_v.iter().copied());
            column_log_sums(sums, rows, self.inv_epsilon);
        });
    }
}

impl Kernel for SinkhornCombine {
    fn grid(&self, _: Arch) -> Grid {
        Grid::blocks([self.prototypes.div_ceil(32), 1, 1], [32, 32, 1])
    }
    fn bytes(&self, _: Real) -> u64 {
        4 * self.prototypes as u64 * (self.chunks as u64 + 1)
    }
    fn on_cpu(&self, memory: &Host) {
        let (chunks, prototypes) = (self.chunks as usize, self.prototypes as usize);
        let partial = memory.read::<f32>(self.partial, chunks * prototypes);
        let log_u = memory.write::<f32>(self.log_u, prototypes);
        let rows = partial.chunks_exact(prototypes).map(|row| (row, 0.0));
        column_log_sums(log_u, rows, 1.0);
        log_u.iter_mut().for_each(|u| *u = -*u);
    }
}

impl Kernel for SinkhornSamples {
    fn grid(&self, _: Arch) -> Grid {
        row_grid(self.n, self.prototypes)
    }
    fn bytes(&self, real: Real) -> u64 {
        let (n, prototypes) = (self.n as u64, self.prototypes as u64);
        n * (prototypes * real.bytes() + 4) + 4 * prototypes
    }
    fn on_cpu(&self, memory: &Host) {
        let (n, prototypes) = (self.n as usize, self.prototypes as usize);
        let scores = memory.read::<f32>(self.scores, n * prototypes);
        let log_u = memory.read::<f32>(self.log_u, prototypes);
        let log_v = memory.write::<f32>(self.log_v, n).par_iter_mut();
        log_v.zip(scores.par_chunks(prototypes)).for_each(|(v, s)| {
            *v = -log_sum_exp(exponents(s, Some(log_u), self.inv_epsilon));
        });
    }
}

impl Kernel for SinkhornRound {
    fn grid(&self, _: Arch) -> Grid {
        let warps = self.prototypes.div_ceil(32 * HELD);
        let chunks = self.n.div_ceil(self.chunk_rows);
        Grid::blocks([chunks, 1, 1], [32 * warps, 1, 1])
    }
    fn bytes(&self, real: Real) -> u64 {
        let (n, chunks) = (self.n as u64, self.n.div_ceil(self.chunk_rows) as u64);
        self.prototypes as u64 * (n * real.bytes() + 4 * chunks + 4)
    }
    fn on_cpu(&self, memory: &Host) {
        let (n, prototypes) = (self.n as usize, self.prototypes as usize);
        let (rows, chunks) = (
            self.chunk_rows as usize,
            n.div_ceil(self.chunk_rows as usize),
        );
        let scores = memory.read::<f32>(self.scores, n * prototypes);
        let log_u = memory.read::<f32>(self.log_u, prototypes);
        let partial = memory.write::<f32>(self.partial, chunks * prototypes);
        let chunks = partial
            .par_chunks_mut(prototypes)
            .zip(scores.par_chunks(rows * prototypes));
        chunks.for_each(|(sums, scores)| {
            sums.fill(0.0);
            for s in scores.chunks_exact(prototypes) {
                let s = exponents(s, Some(log_u), self.inv_epsilon);
                let log_sum = log_sum_exp(s.clone());
                sums.iter_mut()
                    .zip(s)
                    .for_each(|(sum, s)| *sum += (s - log_sum).exp());
            }
            let columns = sums.iter_mut().zip(log_u);
            columns.for_each(|(sum, u)| *sum = sum.ln() - u);
        });
    }
}

impl Kernel for SinkhornCodes {
    fn grid(&self, _: Arch) -> Grid {
        row_grid(self.rows, self.prototypes)
    }
    fn bytes(&self, real: Real) -> u64 {
        let log_u = if self.log_u.is_null() { 0 } else { 4 };
        self.prototypes as u64 * (self.rows as u64 * (real.bytes() + 4) + log_u)
    }
    fn on_cpu(&self, memory: &Host) {
        let (rows, prototypes) = (self.rows as usize, self.prototypes as usize);
        let scores = memory.read::<f32>(self.scores, rows * prototypes);
        let log_u = (!self.log_u.is_null()).then(|| memory.read::<f32>(self.log_u, prototypes));
        let codes = memory.write::<f32>(self.codes, rows * prototypes);
        let rows = codes
            .par_chunks_mut(prototypes)
            .zip(scores.par_chunks(prototypes));
        rows.for_each(|(codes, s)| {
            let s = exponents(s, log_u, self.inv_epsilon);
            if self.hard != 0 {
                codes.fill(0.0);
                codes[first_of_largest(s)] = 1.0;
                return;
            }
            let log_sum = log_sum_exp(s.clone());
            codes
                .iter_mut()
                .zip(s)
                .for_each(|(code, s)| *code = (s - log_sum).exp());
        });
    }
}

fn first_of_largest(s: impl Iterator<Item = f32>) -> usize {
    let larger = |best: (usize, f32), new: (usize, f32)| if new.1 > best.1 { new } else { best };
    s.enumerate().fold((0, f32::NEG_INFINITY), larger).0
}
