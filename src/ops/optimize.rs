//! `optimize`: one step of momentum SGD, LARS or LARC over flat f32 memory, all tensors at once. Not
//! recorded.
//!
//! A rule decides three numbers a tensor: its gradient's scale, its weight decay, its learning rate. The
//! step itself is the same for all of them:
//!
//! ```text
//! step     = scale (gradient + decay value)
//! velocity = momentum velocity + step
//! value   -= lr velocity                       (nesterov: lr (step + momentum velocity))
//! ```
mod cpu;

use crate::{
    Result, Tensor,
    device::{
        Arch, Device, Grid, Host, Kernel, Ptr, Real,
        kernels::{OptimizeNorms, OptimizeRates, OptimizeStep},
    },
    tensor::Element,
};
use rayon::prelude::*;
use std::sync::Arc;

/// How a tensor's gradient becomes its step. d = gradient + weight decay value.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Rule {
    /// d, as PyTorch has it.
    Sgd { nesterov: bool },
    /// d trust |value| / |d|, as Barlow Twins has it (arXiv 2103.03230); d where either norm is 0.
    Lars { trust: f32 },
    /// d trust |value| / (|gradient| + weight decay |value|), as apex has it with `clip=False`.
    Larc { trust: f32 },
}

#[derive(Clone, Debug)]
pub struct Step {
    /// f32 (2), on the device, where a schedule changes it between launches that do not change: the
    /// learning rate, and that of the tensors which `Lars` and `Larc` do not adapt (Barlow Twins gives
    /// them one of their own).
    pub lr: Tensor,
    pub momentum: f32,
    pub weight_decay: f32,
    pub rule: Rule,
}

/// One tensor of flat memory, in elements.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Segment {
    pub offset: usize,
    pub length: usize,
    /// Whether `Lars` and `Larc` scale its gradient.
    pub adapt: bool,
    /// How many times the step's weight decay it has.
    pub decay: f32,
}

/// Columns of the table of segments.
const COLS: usize = 4;

/// Elements of a chunk: two thousand chunks to a ResNet-50, so that a GPU is full and a block has work.
const CHUNK: usize = 1 << 14;

/// Where each tensor lies, on the device.
#[derive(Clone, Debug)]
pub struct Segments {
    /// (segments, 4) u32: first chunk, number of chunks, whether it is adapted, the bits of its decay (f32).
    segments: Tensor,
    /// (chunks, 3) u32: offset, length, segment.
    chunks: Tensor,
    /// The offset of each chunk's segment.
    owners: Arc<[usize]>,
    /// Flat memory must be at least so long.
    end: usize,
}

impl Segments {
    /// In order of offset; they must not overlap.
    pub fn new(device: &Device, list: &[Segment]) -> Result<Segments> {
        let (mut segments, mut chunks, mut end) = (Vec::new(), Vec::new(), 0);
        let mut owners = Vec::new();
        for (number, segment) in list.iter().enumerate() {
            assert!(
                end <= segment.offset,
                "segment {number} overlaps the one before it"
            );
            end = segment.offset + segment.length;
            assert!(
                u32::try_from(end).is_ok(),
                "flat memory has fewer than 2^32 elements"
            );
            let first = chunks.len() / 3;
            for start in (segment.offset..end).step_by(CHUNK) {
                let length = CHUNK.min(end - start);
                chunks.extend([start as u32, length as u32, number as u32]);
                owners.push(segment.offset);
            }
            let (first, end) = (first as u32, (chunks.len() / 3) as u32);
            let decay = segment.decay.to_bits();
            segments.extend([first, end - first, segment.adapt as u32, decay]);
        }
        Ok(Segments {
            segments: Tensor::from_u32(device, [segments.len() / COLS, COLS], &segments)?,
            chunks: Tensor::from_u32(device, [chunks.len() / 3, 3], &chunks)?,
            owners: owners.into(),
            end,
        })
    }
    fn count(&self) -> usize {
        self.segments.dims()[0]
    }
    pub fn chunk_count(&self) -> usize {
        self.chunks.dims()[0]
    }
    /// (offset of a segment, how many of its gradients are not finite), where any is, from what [`norms`]
    /// made.
    pub fn not_finite(&self, norms: &[f32]) -> Vec<(usize, u64)> {
        let mut found: Vec<(usize, u64)> = Vec::new();
        for (&owner, sums) in self.owners.iter().zip(norms.chunks(4)) {
            match (found.last_mut(), sums[3] as u64) {
                (_, 0) => (),
                (Some((last, count)), more) if *last == owner => *count += more,
                (_, count) => found.push((owner, count)),
            }
        }
        found
    }
}

/// What [`step`] found on its way.
#[derive(Clone, Debug)]
pub struct Moved {
    /// f32 (2): the sum of all gradients squared, and how many of them are not finite: if any is, nothing
    /// has moved.
    pub summary: Tensor,
    /// As [`norms`] makes them, of the values before the step.
    pub norms: Tensor,
}

/// Moves `values` and `velocities` in place; all three are flat f32 of one length, and `reals`, the same
/// values in the device's real numbers, follows.
pub fn step(
    values: &Tensor,
    reals: Option<&Tensor>,
    gradients: &Tensor,
    velocities: &Tensor,
    segments: &Segments,
    step: &Step,
) -> Result<Moved> {
    let n = check([values, gradients, velocities], segments);
    if let Some(reals) = reals {
        let found = (reals.len(), reals.element());
        assert_eq!(found, (values.len(), Element::Real), "optimize: reals");
    }
    let norms = norms(values, gradients, segments, step.weight_decay)?;
    let (rates, summary) = rates(&norms, segments, step)?;
    values.device().launch(OptimizeStep {
        values: values.ptr(),
        reals: reals.map_or(Ptr::NULL, Tensor::ptr),
        gradients: gradients.ptr(),
        velocities: velocities.ptr(),
        chunks: segments.chunks.ptr(),
        rates: rates.ptr(),
        summary: summary.ptr(),
        n,
        chunk_count: segments.chunk_count() as u32,
        segment_count: segments.count() as u32,
        nesterov: (step.rule == Rule::Sgd { nesterov: true }) as u32,
        momentum: step.momentum,
    })?;
    Ok(Moved { summary, norms })
}

/// f32 (chunks, 4): the sums of value^2, of gradient^2, of (gradient + weight decay value)^2, and how many
/// gradients are not finite.
pub fn norms(
    values: &Tensor,
    gradients: &Tensor,
    segments: &Segments,
    weight_decay: f32,
) -> Result<Tensor> {
    let n = check([values, gradients], segments);
    let chunks = segments.chunk_count();
    let partial = Tensor::uninit(values.device(), Element::F32, [chunks, 4])?;
    values.device().launch(OptimizeNorms {
        values: values.ptr(),
        gradients: gradients.ptr(),
        chunks: segments.chunks.ptr(),
        segments: segments.segments.ptr(),
        partial: partial.ptr(),
        n,
        chunk_count: chunks as u32,
        segment_count: segments.count() as u32,
        weight_decay,
    })?;
    Ok(partial)
}

/// From [`norms`], f32 (segments, 3): the scale, weight decay and learning rate that `step` uses for each
/// tensor; and its summary.
pub fn rates(norms: &Tensor, segments: &Segments, step: &Step) -> Result<(Tensor, Tensor)> {
    let device = norms.device();
    let (count, chunks) = (segments.count(), segments.chunk_count());
    assert_eq!(norms.dims(), [chunks, 4], "optimize: norms");
    let new = |dims: &[usize]| Tensor::uninit(device, Element::F32, dims);
    let (rates, summary) = (new(&[count, 3])?, new(&[2])?);
    let lr = (step.lr.len(), step.lr.element());
    assert_eq!(lr, (2, Element::F32), "optimize: learning rates");
    let (rule, trust) = match step.rule {
        Rule::Sgd { .. } => (SGD, 0.0),
        Rule::Lars { trust } => (LARS, trust),
        Rule::Larc { trust } => (LARC, trust),
    };
    device.launch(OptimizeRates {
        partial: norms.ptr(),
        segments: segments.segments.ptr(),
        lr: step.lr.ptr(),
        rates: rates.ptr(),
        summary: summary.ptr(),
        chunk_count: chunks as u32,
        segment_count: count as u32,
        rule,
        trust,
        weight_decay: step.weight_decay,
    })?;
    Ok((rates, summary))
}

const SGD: u32 = 0;
const LARS: u32 = 1;
const LARC: u32 = 2;

fn check<const N: usize>(flat: [&Tensor; N], segments: &Segments) -> u64 {
    for t in flat {
        let found = (t.len(), t.element());
        assert_eq!(
            found,
            (flat[0].len(), Element::F32),
            "optimize: flat memory"
        );
    }
    assert!(
        segments.end <= flat[0].len(),
        "optimize: a segment lies outside"
    );
    flat[0].len() as u64
}

impl Kernel for OptimizeNorms {
    fn grid(&self, _: Arch) -> Grid {
        Grid::rows(self.chunk_count, CHUNK as u32)
    }
    fn bytes(&self, _: Real) -> u64 {
        8 * self.n
    }
    fn on_cpu(&self, memory: &Host) {
        let n = self.n as usize;
        let values = memory.read::<f32>(self.values, n);
        let gradients = memory.read::<f32>(self.gradients, n);
        let chunks = memory.read::<u32>(self.chunks, 3 * self.chunk_count as usize);
        let segments = memory.read::<u32>(self.segments, COLS * self.segment_count as usize);
        let partial = memory.write::<f32>(self.partial, 4 * self.chunk_count as usize);
        let partials = partial.par_chunks_mut(4).zip(chunks.par_chunks(3));
        partials.for_each(|(partial, chunk)| {
            let [offset, length, segment] = [0, 1, 2].map(|field| chunk[field] as usize);
            let decay = f32::from_bits(segments[COLS * segment + 3]) * self.weight_decay;
            let gradients = &gradients[offset..][..length];
            let squares = cpu::squares(&values[offset..][..length], gradients, decay);
            partial[..3].copy_from_slice(&squares);
            partial[3] = gradients.iter().filter(|g| !g.is_finite()).count() as f32;
        });
    }
}

impl Kernel for OptimizeRates {
    fn grid(&self, _: Arch) -> Grid {
        Grid::rows(self.segment_count + 1, 256)
    }
    fn bytes(&self, _: Real) -> u64 {
        16 * self.chunk_count as u64 + 28 * self.segment_count as u64
    }
    fn on_cpu(&self, memory: &Host) {
        let partial = memory.read::<f32>(self.partial, 4 * self.chunk_count as usize);
        let segments = memory.read::<u32>(self.segments, COLS * self.segment_count as usize);
        let lr = memory.read::<f32>(self.lr, 2);
        let rates = memory.write::<f32>(self.rates, 3 * self.segment_count as usize);
        let summary = memory.write::<f32>(self.summary, 2);
        let total = |partial: &[f32], field: usize| -> f64 {
            partial.chunks(4).map(|sums| sums[field] as f64).sum()
        };
        summary.copy_from_slice(&[total(partial, 1) as f32, total(partial, 3) as f32]);
        for (segment, rates) in segments.chunks(COLS).zip(rates.chunks_mut(3)) {
            let (first, chunks) = (segment[0] as usize, segment[1] as usize);
            let sums = &partial[4 * first..4 * (first + chunks)];
            let norms = [0, 1, 2].map(|field| total(sums, field).sqrt() as f32);
            let decay = f32::from_bits(segment[3]) * self.weight_decay;
            let adapt = segment[2] != 0;
            rates.copy_from_slice(&self.rates_of(norms, adapt, decay, [lr[0], lr[1]]));
        }
    }
}

impl OptimizeRates {
    /// The scale, weight decay and learning rate of one tensor, from |value|, |gradient| and |d|.
    fn rates_of(
        &self,
        [values, gradients, decayed]: [f32; 3],
        adapt: bool,
        decay: f32,
        [lr, excluded_lr]: [f32; 2],
    ) -> [f32; 3] {
        if self.rule == SGD {
            return [1.0, decay, lr];
        }
        if !adapt {
            return [1.0, decay, excluded_lr];
        }
        let (scale, decay) = match self.rule {
            LARS if values > 0.0 && decayed > 0.0 => (self.trust * values / decayed, decay),
            LARS => (1.0, decay),
            _ if values > 0.0 && gradients > 0.0 => {
                let by = gradients + decay * values + 1e-8;
                (self.trust * values / by, decay)
            }
            _ => (1.0, 0.0), // as apex has it: a tensor without gradient is left alone
        };
        [scale, decay, lr]
    }
}

impl Kernel for OptimizeStep {
    fn grid(&self, _: Arch) -> Grid {
        Grid::rows(self.chunk_count, CHUNK as u32)
    }
    fn bytes(&self, real: Real) -> u64 {
        let reals = if self.reals.is_null() {
            0
        } else {
            real.bytes()
        };
        (20 + reals) * self.n
    }
    fn on_cpu(&self, memory: &Host) {
        cpu::step(self, memory);
    }
}
