//! A step's own numbers (loss, gradient, what is left of weights and statistics), kept on the device until
//! somebody looks: looking waits for it.
use super::{
    log::{self, Log},
    trainer::Made,
};
use crate::{
    Device, Error, Result, Tensor,
    nn::{Entry, Layout},
    ops::{
        copy,
        optimize::{self, Segment, Segments},
    },
    tensor::Element,
};
use std::sync::Arc;

/// Steps whose numbers are read together where reading one waits for the device.
const PATIENCE: usize = 16;

/// A row of the ring, in f32: the loss; the sum of the gradient's squares, how many of it are not finite;
/// then what `optimize::norms` says of gradient, weights and statistics. Each begins at a multiple of 16
/// bytes, the widest access of a kernel.
const LOSS: usize = 0;
const SUMMARY: usize = 4;
const NORMS: usize = 8;

pub struct Numbers {
    layout: Arc<Layout>,
    /// Of weights and of statistics.
    tables: [Segments; 2],
    /// (patience, row) f32
    ring: Tensor,
    /// Steps launched whose numbers were not looked at, by row.
    pending: Vec<Pending>,
    found: Option<NotFinite>,
}

struct Pending {
    step: log::Step,
    ids: Vec<u32>,
    /// Of the gradient: a frozen parameter has none.
    moved: Segments,
}

/// A step that left numbers that are none.
#[derive(Clone, Debug)]
pub struct NotFinite {
    /// With its loss and gradient norm.
    pub step: log::Step,
    /// The images of its batch.
    pub ids: Vec<u32>,
    /// Of the step's gradient, and of the weights and the running statistics after it: whose numbers are
    /// not finite, and how many.
    pub gradient: Vec<(String, u64)>,
    pub weights: Vec<(String, u64)>,
    pub statistics: Vec<(String, u64)>,
}

impl Numbers {
    pub fn new(device: &Device, layout: &Arc<Layout>) -> Result<Numbers> {
        let patience = patience(device);
        let tables = [
            whole(device, layout.parameters())?,
            whole(device, layout.statistics())?,
        ];
        let [weights, statistics] = [0, 1].map(|table: usize| 4 * tables[table].chunk_count());
        let row = NORMS + 2 * weights + statistics;
        Ok(Numbers {
            layout: layout.clone(),
            tables,
            ring: Tensor::uninit(device, Element::F32, [patience, row])?,
            pending: Vec::with_capacity(patience),
            found: None,
        })
    }

    /// What is to be known of weights and statistics after a step: part of its launches.
    pub fn norms(&self, weights: &Tensor, statistics: &Tensor) -> Result<[Tensor; 2]> {
        let [of_weights, of_statistics] = &self.tables;
        Ok([
            optimize::norms(weights, weights, of_weights, 0.0)?,
            optimize::norms(statistics, statistics, of_statistics, 0.0)?,
        ])
    }

    /// Keeps the numbers of a step just launched, of the images `ids`: what it made may be overwritten
    /// after. `moved` are those of the parameters that a gradient moves.
    pub fn add(
        &mut self,
        made: &Made,
        moved: &Segments,
        step: log::Step,
        ids: Vec<u32>,
    ) -> Result<()> {
        let [_, row] = self.ring.dims_of();
        let [weights, statistics] = &made.norms;
        let first = self.pending.len() * row;
        let keep =
            |x: &Tensor, at: usize| copy::copy(x, &self.ring.slice(first + at, x.shape().clone()));
        keep(&made.loss, LOSS)?;
        keep(&made.moved.summary, SUMMARY)?;
        keep(&made.moved.norms, NORMS)?;
        keep(weights, NORMS + weights.len())?;
        keep(statistics, NORMS + 2 * weights.len())?;
        let moved = moved.clone();
        self.pending.push(Pending { step, ids, moved });
        Ok(())
    }

    pub fn is_full(&self) -> bool {
        self.pending.len() == self.ring.dims()[0]
    }

    /// Logs the steps added since the last time, in order. The first that left a number that is none is an
    /// error, and kept for [`Numbers::take_found`]: nothing was saved since, and those after it are
    /// forgotten.
    pub fn settle(&mut self, log: &mut Log) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let (rows, [_, length]) = (self.ring.to_vec()?, self.ring.dims_of());
        let pending = std::mem::take(&mut self.pending);
        for (pending, row) in pending.into_iter().zip(rows.chunks(length)) {
            let mut step = pending.step;
            step.loss = row[LOSS];
            step.gradient_norm = (row[SUMMARY] as f64).sqrt();
            let found = self.look(step, row, pending);
            if found.is_something() {
                let why = found.to_string();
                self.found = Some(found);
                return Err(Error::Numeric(why));
            }
            log.step(&step);
        }
        Ok(())
    }

    /// What the error of `settle` was about, once.
    pub fn take_found(&mut self) -> Option<NotFinite> {
        self.found.take()
    }

    fn look(&self, step: log::Step, row: &[f32], pending: Pending) -> NotFinite {
        let [weights, statistics] = &self.tables;
        let length = 4 * weights.chunk_count();
        let (gradient, rest) = row[NORMS..].split_at(length);
        let (of_weights, of_statistics) = rest.split_at(length);
        let named = |table: &Segments, norms: &[f32], entries: &[Entry]| {
            let found = table.not_finite(norms).into_iter();
            let name = |offset| {
                let entry = entries.iter().find(|entry| entry.offset == offset);
                entry.expect("a table is of entries").name.clone()
            };
            found.map(|(offset, n)| (name(offset), n)).collect()
        };
        let (parameters, others) = (self.layout.parameters(), self.layout.statistics());
        NotFinite {
            gradient: named(&pending.moved, gradient, parameters),
            weights: named(weights, of_weights, parameters),
            statistics: named(statistics, of_statistics, others),
            step,
            ids: pending.ids,
        }
    }
}

impl NotFinite {
    fn is_something(&self) -> bool {
        let sums = self.step.loss.is_finite() && self.step.gradient_norm.is_finite();
        let counts = [&self.gradient, &self.weights, &self.statistics];
        !sums || counts.into_iter().any(|counts| !counts.is_empty())
    }
}

impl std::fmt::Display for NotFinite {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let log::Step { step, loss, .. } = self.step;
        let norm = self.step.gradient_norm;
        write!(f, "step {step}: loss {loss}, gradient norm {norm}")?;
        for (what, counts) in [
            ("the gradient", &self.gradient),
            ("the weights after it", &self.weights),
            ("the running statistics after it", &self.statistics),
        ] {
            let Some((first, _)) = counts.first() else {
                continue;
            };
            let all: u64 = counts.iter().map(|(_, count)| count).sum();
            let more = match counts.len() {
                1 => String::new(),
                tensors => format!(" and {} more", tensors - 1),
            };
            write!(
                f,
                "\n  {all} numbers of {what} are not finite: {first}{more}"
            )?;
        }
        Ok(())
    }
}

fn patience(device: &Device) -> usize {
    #[cfg(feature = "fault")]
    if let Some(steps) = crate::fault::late() {
        return steps;
    }
    if device.name() == "cpu" { 1 } else { PATIENCE }
}

/// Of all of `entries`.
fn whole(device: &Device, entries: &[Entry]) -> Result<Segments> {
    let segment = |entry: &Entry| Segment {
        offset: entry.offset,
        length: entry.len(),
        adapt: false,
        decay: 0.0,
    };
    let list: Vec<Segment> = entries.iter().map(segment).collect();
    Segments::new(device, &list)
}
