//! `batch_norm`: y = (x - mean) / sqrt(variance + epsilon) * gamma + beta, channel by channel; and what it
//! shares with `batch_norm_relu`, `batch_norm_add_relu` and `batch_norm_relu_max_pool`.
//!
//! Sums over rows are taken chunk by chunk, and the chunks added in order; what a chunk is follows from
//! the shape alone.
pub(super) mod rows;
mod statistics;

use crate::{
    Result, Tape, Tensor, Var,
    device::{
        Arch, Grid, Host, Kernel, Ptr, Real,
        kernels::{BatchNormBackward, BatchNormCombineSums, BatchNormForward, BatchNormSums},
    },
};
pub(super) use statistics::chunk_statistics;
pub use statistics::{EPSILON, Mode, Norm, Partial, Running};

/// Normalises each channel of x (.., channels), then scales by gamma and shifts by beta, f32 (channels).
pub fn batch_norm(
    tape: &mut Tape,
    x: &Var,
    gamma: &Var,
    beta: &Var,
    running: &Running,
    mode: Mode,
) -> Result<Var> {
    let (y, norm) = forward(&x.value, &gamma.value, &beta.value, running, mode)?;
    Ok(tape.record(
        "batch_norm",
        [x, gamma, beta],
        y,
        move |dy, [need_x, _, _]| backward(&norm, &dy, need_x),
    ))
}

/// y, and what backward needs. In training this updates `running` in place.
pub fn forward(
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    running: &Running,
    mode: Mode,
) -> Result<(Tensor, Norm)> {
    let norm = Norm::new(x, gamma, beta, running, mode)?;
    let y = norm.like_x()?;
    for group in norm.groups() {
        x.device().launch(BatchNormForward {
            x: group.norm.x.ptr(),
            statistics: group.norm.statistics.ptr(),
            gamma: gamma.ptr(),
            beta: beta.ptr(),
            y: group.of(&y).ptr(),
            rows: group.norm.rows(),
            channels: norm.channels(),
        })?;
    }
    Ok((y, norm))
}

/// dx (where needed), dgamma, dbeta.
pub fn backward(norm: &Norm, dy: &Tensor, need_x: bool) -> Result<[Option<Tensor>; 3]> {
    let dx = need_x.then(|| norm.like_x()).transpose()?;
    let [dgamma, dbeta] = norm.sum_over_groups(|group| {
        let (norm, dy) = (&group.norm, group.of(dy));
        let partial = norm.partial(norm.rows())?;
        norm.x.device().launch(BatchNormSums {
            x: norm.x.ptr(),
            dy: dy.ptr(),
            statistics: norm.statistics.ptr(),
            partial: partial.chunks.ptr(),
            rows: norm.rows(),
            channels: norm.channels(),
            chunk_rows: partial.chunk_rows,
        })?;
        let sums = norm.combine_sums(&partial)?;
        if let Some(dx) = &dx {
            norm.backward_x(&dy, &sums, &group.of(dx))?;
        }
        Ok(sums)
    })?;
    Ok([dx, Some(dgamma), Some(dbeta)])
}

/// Channels of one thread: 16 bytes of bf16.
pub(super) const PACK: u32 = 8;

/// Blocks along the channels, and the threads (packs, down) of one: as wide as a row is, up to 32 packs, and
/// as many rows as make 256 threads.
pub(super) fn threads(channels: u32) -> (u32, [u32; 3]) {
    let packs = channels.div_ceil(PACK);
    let blocks = packs.div_ceil(32);
    let across = packs.div_ceil(blocks).max(1);
    (blocks, [across, 256 / across, 1])
}
/// Down the grid, what makes 8 blocks a multiprocessor: each is resident with two or three others, and has
/// rows enough to make up for the parameters it loads first. Never more than there are sets of 4 rows.
pub(super) fn elements_grid(rows: u32, channels: u32, arch: Arch) -> Grid {
    let (blocks, threads) = threads(channels);
    let most = (8 * arch.multiprocessors).div_ceil(blocks.max(1));
    let down = rows.div_ceil(4 * threads[1]).min(most);
    Grid::blocks([blocks, down, 1], threads)
}
/// Blocks by chunks.
pub(super) fn chunks_grid(rows: u32, channels: u32, chunk_rows: u32) -> Grid {
    let (blocks, threads) = threads(channels);
    Grid::blocks([blocks, rows.div_ceil(chunk_rows), 1], threads)
}
/// 8 channels a block, which is a sector of memory, and 128 threads to each: they share the chunks.
fn combine_grid(channels: u32) -> Grid {
    Grid::blocks([channels.div_ceil(8), 1, 1], [8, 128, 1])
}

/// Per channel, on the CPU: y = (x - mean) * scale + shift.
pub(super) struct Affine<'a> {
    pub mean: &'a [f32],
    pub inverse: &'a [f32],
    pub scale: Vec<f32>,
}

impl<'a> Affine<'a> {
    pub fn new(memory: &'a Host, statistics: Ptr, gamma: Ptr, channels: usize) -> Affine<'a> {
        let (mean, inverse) = memory
            .read::<f32>(statistics, 2 * channels)
            .split_at(channels);
        let gamma = memory.read::<f32>(gamma, channels);
        let scale = gamma.iter().zip(inverse).map(|(g, i)| g * i).collect();
        Affine {
            mean,
            inverse,
            scale,
        }
    }
    /// How much of dy lies along x and along 1, a row: dx = scale (dy - one - (x - mean) x).
    pub fn along(
        &self,
        memory: &Host,
        [dgamma, dbeta]: [Ptr; 2],
        inverse_rows: f32,
    ) -> [Vec<f32>; 2] {
        let dgamma = memory.read::<f32>(dgamma, self.mean.len());
        let dbeta = memory.read::<f32>(dbeta, self.mean.len());
        let along_x = dgamma.iter().zip(self.inverse);
        [
            along_x.map(|(d, i)| d * i * inverse_rows).collect(),
            dbeta.iter().map(|d| d * inverse_rows).collect(),
        ]
    }
}

impl Kernel for BatchNormForward {
    fn grid(&self, arch: Arch) -> Grid {
        elements_grid(self.rows, self.channels, arch)
    }
    fn bytes(&self, real: Real) -> u64 {
        2 * real.bytes() * self.rows as u64 * self.channels as u64
    }
    fn on_cpu(&self, memory: &Host) {
        let channels = self.channels as usize;
        let n = self.rows as usize * channels;
        let (x, y) = (memory.read(self.x, n), memory.write(self.y, n));
        let affine = Affine::new(memory, self.statistics, self.gamma, channels);
        let beta = memory.read(self.beta, channels);
        let parameters = [affine.mean, &affine.scale, beta];
        rows::map(y, [x, x], parameters, |[x, _], [mean, scale, shift]| {
            (x - mean) * scale + shift
        });
    }
}

impl Kernel for BatchNormSums {
    fn grid(&self, _: Arch) -> Grid {
        chunks_grid(self.rows, self.channels, self.chunk_rows)
    }
    fn bytes(&self, real: Real) -> u64 {
        2 * real.bytes() * self.rows as u64 * self.channels as u64
    }
    fn on_cpu(&self, memory: &Host) {
        let channels = self.channels as usize;
        let n = self.rows as usize * channels;
        let chunks = self.rows.div_ceil(self.chunk_rows) as usize;
        let (x, dy) = (
            memory.read::<f32>(self.x, n),
            memory.read::<f32>(self.dy, n),
        );
        let mean = memory.read::<f32>(self.statistics, channels);
        let partial = memory.write::<f32>(self.partial, chunks * 2 * channels);
        rows::sum_chunks(
            partial,
            self.chunk_rows,
            [x, dy],
            [mean],
            |[x, dy], [mean]| [dy, dy * (x - mean)],
        );
    }
}

impl Kernel for BatchNormCombineSums {
    fn grid(&self, _: Arch) -> Grid {
        combine_grid(self.channels)
    }
    fn bytes(&self, _: Real) -> u64 {
        4 * self.channels as u64 * (2 * self.chunks as u64 + 3)
    }
    fn on_cpu(&self, memory: &Host) {
        let channels = self.channels as usize;
        let partial = memory.read::<f32>(self.partial, self.chunks as usize * 2 * channels);
        let statistics = memory.read::<f32>(self.statistics, 2 * channels);
        let dgamma = memory.write::<f32>(self.dgamma, channels);
        let dbeta = memory.write::<f32>(self.dbeta, channels);
        let total = |at: usize| -> f64 {
            let chunks = partial.chunks(2 * channels);
            chunks.map(|sums| sums[at] as f64).sum()
        };
        for c in 0..channels {
            dbeta[c] = total(c) as f32;
            dgamma[c] = (total(channels + c) * statistics[channels + c] as f64) as f32;
        }
    }
}

impl Kernel for BatchNormBackward {
    fn grid(&self, arch: Arch) -> Grid {
        elements_grid(self.rows, self.channels, arch)
    }
    fn bytes(&self, real: Real) -> u64 {
        3 * real.bytes() * self.rows as u64 * self.channels as u64
    }
    fn on_cpu(&self, memory: &Host) {
        let channels = self.channels as usize;
        let n = self.rows as usize * channels;
        let (x, dy, dx) = (
            memory.read(self.x, n),
            memory.read(self.dy, n),
            memory.write(self.dx, n),
        );
        let affine = Affine::new(memory, self.statistics, self.gamma, channels);
        let sums = [self.dgamma, self.dbeta];
        let [along_x, along_one] = affine.along(memory, sums, self.inverse_rows);
        let parameters = [affine.mean, &affine.scale, &along_x, &along_one];
        rows::map(
            dx,
            [x, dy],
            parameters,
            |[x, dy], [mean, scale, along_x, along_one]| {
                scale * (dy - along_one - (x - mean) * along_x)
            },
        );
    }
}
