//! Whose mean and whose variance: of the batch, or those remembered of batches before it.
use super::{chunks_grid, combine_grid, rows};
use crate::{
    Result, Tensor,
    device::{
        Arch, Grid, Host, Kernel, Real,
        kernels::{
            BatchNormBackward, BatchNormCombine, BatchNormCombineSums, BatchNormRunning,
            BatchNormStatistics,
        },
    },
    tape::sum,
    tensor::Element,
};
use rayon::prelude::*;

/// Added to every variance.
pub const EPSILON: f32 = 1e-5;
/// How far the running statistics move towards those of a batch.
const MOMENTUM: f32 = 0.1;

/// Where the mean and the variance come from.
#[derive(Clone, Debug)]
pub enum Mode {
    /// From the batch itself; the running statistics follow.
    Train,
    /// As `Train` on so many devices, each of which has a part of the batch and looks at nothing else: groups
    /// of neighbours along the outermost dimension, of which it must be a multiple. The running
    /// statistics follow the mean over groups.
    Groups(usize),
    /// As `Train`, where whoever made x has looked at its rows already.
    Given(Partial),
    /// From the running statistics.
    Evaluate,
}

/// What whoever makes x can tell of it on the way.
#[derive(Clone, Debug)]
pub struct Partial {
    /// (chunks, 2, channels) f32: of each chunk of rows, per channel, the mean and the sum of squared
    /// differences from it.
    pub chunks: Tensor,
    /// Rows of each chunk but the last, which may have fewer.
    pub chunk_rows: u32,
}

/// What a layer remembers of its batches, (channels) f32 each.
#[derive(Clone, Debug)]
pub struct Running {
    pub mean: Tensor,
    pub variance: Tensor,
}

/// What was normalised, and by what: all that a backward needs but the output.
#[derive(Debug)]
pub struct Norm {
    pub x: Tensor,
    pub gamma: Tensor,
    pub beta: Tensor,
    /// (groups, 2, channels) f32: mean, 1 / standard deviation.
    pub statistics: Tensor,
    groups: usize,
    /// 1 / rows of a group, or 0 where the statistics are constants: how much of them is due to one row.
    pub(in crate::ops) inverse_rows: f32,
}

impl Norm {
    pub(in crate::ops) fn new(
        x: &Tensor,
        gamma: &Tensor,
        beta: &Tensor,
        running: &Running,
        mode: Mode,
    ) -> Result<Norm> {
        let channels = *x.dims().last().expect("batch_norm: x has channels");
        for t in [gamma, beta, &running.mean, &running.variance] {
            let found = (t.dims(), t.element());
            assert_eq!(
                found,
                (&[channels][..], Element::F32),
                "batch_norm: x is {x:?}"
            );
        }
        assert!(!x.is_empty(), "batch_norm: no rows to take the mean of");
        let groups = if let Mode::Groups(groups) = mode {
            assert!(
                x.dims()[0].is_multiple_of(groups),
                "batch_norm: {groups} of {x:?}"
            );
            groups
        } else {
            1
        };
        let statistics = Tensor::uninit(x.device(), Element::F32, [groups, 2, channels])?;
        let inverse_rows = match mode {
            Mode::Evaluate => 0.0,
            _ => ((x.len() / groups) as f32 / channels as f32).recip(),
        };
        let norm = Norm {
            x: x.clone(),
            gamma: gamma.clone(),
            beta: beta.clone(),
            statistics,
            groups,
            inverse_rows,
        };
        match mode {
            Mode::Train | Mode::Groups(_) => norm.take_statistics(running)?,
            Mode::Given(partial) => norm.combine(&partial, running, MOMENTUM)?,
            Mode::Evaluate => x.device().launch(BatchNormRunning {
                running_mean: running.mean.ptr(),
                running_variance: running.variance.ptr(),
                statistics: norm.statistics.ptr(),
                channels: norm.channels(),
                epsilon: EPSILON,
            })?,
        }
        Ok(norm)
    }

    /// Group after group: each moves the running statistics so far that in the end all of them have moved those
    /// by as much.
    fn take_statistics(&self, running: &Running) -> Result<()> {
        let share = MOMENTUM / self.groups as f32;
        for Group { norm, index, count } in self.groups() {
            let later = (count - 1 - index) as f32;
            let momentum = share / (1.0 - later * share);
            norm.combine(&norm.partial_statistics()?, running, momentum)?;
        }
        Ok(())
    }

    fn partial_statistics(&self) -> Result<Partial> {
        let partial = self.partial(self.rows())?;
        self.x.device().launch(BatchNormStatistics {
            x: self.x.ptr(),
            partial: partial.chunks.ptr(),
            rows: self.rows(),
            channels: self.channels(),
            chunk_rows: partial.chunk_rows,
        })?;
        Ok(partial)
    }

    fn combine(
        &self,
        Partial { chunks, chunk_rows }: &Partial,
        running: &Running,
        momentum: f32,
    ) -> Result<()> {
        let count = self.rows().div_ceil(*chunk_rows) as usize;
        let expected = &[count, 2, self.gamma.len()][..];
        assert_eq!(chunks.dims(), expected, "batch_norm: {:?}", self.x);
        self.x.device().launch(BatchNormCombine {
            partial: chunks.ptr(),
            statistics: self.statistics.ptr(),
            running_mean: running.mean.ptr(),
            running_variance: running.variance.ptr(),
            rows: self.rows(),
            channels: self.channels(),
            chunk_rows: *chunk_rows,
            momentum,
            epsilon: EPSILON,
        })
    }

    /// The parts that have statistics of their own: the whole, where there are no groups.
    pub(in crate::ops) fn groups(&self) -> impl Iterator<Item = Group> {
        let count = self.groups;
        (0..count).map(move |index| {
            let norm = Norm {
                x: part(&self.x, index, count),
                gamma: self.gamma.clone(),
                beta: self.beta.clone(),
                statistics: part(&self.statistics, index, count),
                groups: 1,
                inverse_rows: self.inverse_rows,
            };
            Group { norm, index, count }
        })
    }
    /// dgamma, dbeta: the sum of those that `of` makes of each group, in their order.
    pub(in crate::ops) fn sum_over_groups(
        &self,
        of: impl Fn(&Group) -> Result<[Tensor; 2]>,
    ) -> Result<[Tensor; 2]> {
        let mut groups = self.groups();
        let mut sums = of(&groups.next().expect("a group"))?;
        for group in groups {
            let [dgamma, dbeta] = of(&group)?;
            sums = [sum(&sums[0], &dgamma)?, sum(&sums[1], &dbeta)?];
        }
        Ok(sums)
    }

    pub(in crate::ops) fn channels(&self) -> u32 {
        self.gamma.len() as u32
    }
    pub(in crate::ops) fn rows(&self) -> u32 {
        u32::try_from(self.x.len() / self.gamma.len()).expect("fewer than 2^32 rows")
    }
    pub(in crate::ops) fn like_x(&self) -> Result<Tensor> {
        Tensor::uninit(self.x.device(), Element::Real, self.x.shape().clone())
    }
    /// Memory for two sums a channel of each chunk of `rows`.
    ///
    /// A chunk is what one block sums up, 256 threads of 8 channels: 8 rows to each thread, and up to 32
    /// where that leaves a thousand blocks, eight for each multiprocessor of an H100; by fours, as they are
    /// loaded. At most 1024 rows: their sums are f32.
    pub(in crate::ops) fn partial(&self, rows: u32) -> Result<Partial> {
        let channels = self.channels();
        let abreast = 2048 / channels.min(256); // rows, of a block at a time
        let rows_of_thread = rows as u64 * channels as u64 / (2048 * 1024);
        let chunk_rows = (abreast * (rows_of_thread.clamp(8, 32) / 4 * 4) as u32).min(1024);
        let shape = [rows.div_ceil(chunk_rows) as usize, 2, channels as usize];
        let chunks = Tensor::uninit(self.x.device(), Element::F32, shape)?;
        Ok(Partial { chunks, chunk_rows })
    }

    /// dgamma, dbeta.
    pub(in crate::ops) fn combine_sums(&self, partial: &Partial) -> Result<[Tensor; 2]> {
        let new = || Tensor::uninit(self.x.device(), Element::F32, self.gamma.shape().clone());
        let (dgamma, dbeta) = (new()?, new()?);
        self.x.device().launch(BatchNormCombineSums {
            partial: partial.chunks.ptr(),
            statistics: self.statistics.ptr(),
            dgamma: dgamma.ptr(),
            dbeta: dbeta.ptr(),
            chunks: partial.chunks.dims()[0] as u32,
            channels: self.channels(),
        })?;
        Ok([dgamma, dbeta])
    }

    /// Writes dx.
    pub(in crate::ops) fn backward_x(
        &self,
        dy: &Tensor,
        [dgamma, dbeta]: &[Tensor; 2],
        dx: &Tensor,
    ) -> Result<()> {
        self.x.device().launch(BatchNormBackward {
            x: self.x.ptr(),
            dy: dy.ptr(),
            statistics: self.statistics.ptr(),
            gamma: self.gamma.ptr(),
            dgamma: dgamma.ptr(),
            dbeta: dbeta.ptr(),
            dx: dx.ptr(),
            rows: self.rows(),
            channels: self.channels(),
            inverse_rows: self.inverse_rows,
        })
    }
}

/// One of the parts of a batch that are normalised each by itself.
pub(in crate::ops) struct Group {
    pub norm: Norm,
    index: usize,
    count: usize,
}

impl Group {
    /// This group's part of a tensor of the whole batch.
    pub fn of(&self, whole: &Tensor) -> Tensor {
        part(whole, self.index, self.count)
    }
}

fn part(whole: &Tensor, index: usize, count: usize) -> Tensor {
    let rows = whole.dims()[0] / count;
    whole.rows(index * rows, rows)
}

impl Kernel for BatchNormStatistics {
    fn grid(&self, _: Arch) -> Grid {
        chunks_grid(self.rows, self.channels, self.chunk_rows)
    }
    fn bytes(&self, real: Real) -> u64 {
        real.bytes() * self.rows as u64 * self.channels as u64
    }
    fn on_cpu(&self, memory: &Host) {
        let channels = self.channels as usize;
        let chunks = self.rows.div_ceil(self.chunk_rows) as usize;
        let x = memory.read::<f32>(self.x, self.rows as usize * channels);
        let partial = memory.write::<f32>(self.partial, chunks * 2 * channels);
        chunk_statistics(x, channels, self.chunk_rows as usize, partial);
    }
}

/// partial (chunks, 2, channels): of each chunk of rows of x, the mean and the sum of squared differences.
pub(in crate::ops) fn chunk_statistics(
    x: &[f32],
    channels: usize,
    chunk_rows: usize,
    partial: &mut [f32],
) {
    let chunks = x.par_chunks(chunk_rows * channels);
    let outputs = partial.par_chunks_mut(2 * channels);
    chunks.zip(outputs).for_each(|(x, partial)| {
        // Differences from the chunk's first row: squares of the values themselves would cancel.
        let origin = &x[..channels];
        rows::sum(partial, [x, x], [origin], |[x, _], [origin]| {
            [x - origin, (x - origin) * (x - origin)]
        });
        let n = (x.len() / channels) as f32;
        let (mean, squares) = partial.split_at_mut(channels);
        for ((mean, squares), origin) in mean.iter_mut().zip(squares).zip(origin) {
            *squares = (*squares - *mean * *mean / n).max(0.0);
            *mean = origin + *mean / n;
        }
    });
}

impl Kernel for BatchNormCombine {
    fn grid(&self, _: Arch) -> Grid {
        combine_grid(self.channels)
    }
    fn bytes(&self, _: Real) -> u64 {
        let chunks = self.rows.div_ceil(self.chunk_rows) as u64;
        4 * self.channels as u64 * (2 * chunks + 6)
    }
    fn on_cpu(&self, memory: &Host) {
        let (channels, rows) = (self.channels as usize, self.rows as f64);
        let chunks = self.rows.div_ceil(self.chunk_rows) as usize;
        let partial = memory.read::<f32>(self.partial, chunks * 2 * channels);
        let statistics = memory.write::<f32>(self.statistics, 2 * channels);
        let running_mean = memory.write::<f32>(self.running_mean, channels);
        let running_variance = memory.write::<f32>(self.running_variance, channels);
        for c in 0..channels {
            let chunks = || {
                partial
                    .chunks(2 * channels)
                    .enumerate()
                    .map(|(chunk, sums)| {
                        let left = self.rows - chunk as u32 * self.chunk_rows;
                        let rows = left.min(self.chunk_rows) as f64;
                        (rows, sums[c] as f64, sums[channels + c] as f64)
                    })
            };
            let mean = chunks().map(|(n, mean, _)| n * mean).sum::<f64>() / rows;
            let squares: f64 = chunks()
                .map(|(n, m, squares)| squares + n * (m - mean) * (m - mean))
                .sum();
            statistics[c] = mean as f32;
            statistics[channels + c] = (1.0 / (squares / rows + self.epsilon as f64).sqrt()) as f32;
            let unbiased = (squares / (rows - 1.0).max(1.0)) as f32;
            running_mean[c] += self.momentum * (mean as f32 - running_mean[c]);
            running_variance[c] += self.momentum * (unbiased - running_variance[c]);
        }
    }
}

impl Kernel for BatchNormRunning {
    fn grid(&self, _: Arch) -> Grid {
        Grid::elements(self.channels as u64)
    }
    fn bytes(&self, _: Real) -> u64 {
        16 * self.channels as u64
    }
    fn on_cpu(&self, memory: &Host) {
        let n = self.channels as usize;
        let statistics = memory.write::<f32>(self.statistics, 2 * n);
        let (mean, inverse) = statistics.split_at_mut(n);
        mean.copy_from_slice(memory.read::<f32>(self.running_mean, n));
        let variance = memory.read::<f32>(self.running_variance, n);
        for (inverse, variance) in inverse.iter_mut().zip(variance) {
            *inverse = 1.0 / (variance + self.epsilon).sqrt();
        }
    }
}
