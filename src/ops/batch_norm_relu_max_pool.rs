//! `batch_norm_relu_max_pool`: y = max_pool(max(batch_norm(x), 0)) over windows of 3 x 3 at stride 2, one
//! pixel of padding: the end of the stem.
//!
//! Neither the activation before the pool nor its gradient is ever in memory. What backward needs beside x is
//! of y's size: the x that won each window, whose sums are then batch norm's, and where it stood.
use super::batch_norm::{Affine, Mode, Norm, Running, chunks_grid, rows, threads};
use crate::{
    Result, Tape, Tensor, Var,
    device::{
        Arch, Grid, Host, Kernel, Real,
        kernels::{
            BatchNormReluMaxPoolBackward, BatchNormReluMaxPoolForward, BatchNormReluMaxPoolSums,
        },
    },
    tensor::Element,
};
use rayon::prelude::*;
use std::ops::Range;

const WINDOW: usize = 3;
/// The index of a window of nothing above 0.
const NOBODY: u8 = 9;

/// `max_pool` of `relu` of `batch_norm`: x (n, h, w, c) to (n, h / 2, w / 2, c), halves rounded up.
pub fn batch_norm_relu_max_pool(
    tape: &mut Tape,
    x: &Var,
    gamma: &Var,
    beta: &Var,
    running: &Running,
    mode: Mode,
) -> Result<Var> {
    let (y, pooled) = forward(&x.value, &gamma.value, &beta.value, running, mode)?;
    Ok(tape.record(
        "batch_norm_relu_max_pool",
        [x, gamma, beta],
        y,
        move |dy, [need_x, _, _]| backward(&pooled, &dy, need_x),
    ))
}

/// What backward needs.
#[derive(Debug)]
pub struct Pooled {
    pub norm: Norm,
    /// The x that won each window, of y's shape; any where nothing is above 0.
    pub winner: Tensor,
    /// Its place in the window, u8, row by row, the first of equals; 9 where nothing is above 0.
    pub index: Tensor,
}

/// y, and what backward needs. In training this updates `running` in place.
pub fn forward(
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    running: &Running,
    mode: Mode,
) -> Result<(Tensor, Pooled)> {
    let [images, height, width, channels] = x.dims_of();
    let norm = Norm::new(x, gamma, beta, running, mode)?;
    let shape = [images, height.div_ceil(2), width.div_ceil(2), channels];
    let new = |element| Tensor::uninit(x.device(), element, shape);
    let (y, winner, index) = (new(Element::Real)?, new(Element::Real)?, new(Element::U8)?);
    for group in norm.groups() {
        x.device().launch(BatchNormReluMaxPoolForward {
            x: group.norm.x.ptr(),
            statistics: group.norm.statistics.ptr(),
            gamma: gamma.ptr(),
            beta: beta.ptr(),
            y: group.of(&y).ptr(),
            winner: group.of(&winner).ptr(),
            index: group.of(&index).ptr(),
            images: group.norm.x.dims()[0] as u32,
            height: height as u32,
            width: width as u32,
            channels: channels as u32,
        })?;
    }
    let pooled = Pooled {
        norm,
        winner,
        index,
    };
    Ok((y, pooled))
}

/// dx (where needed), dgamma, dbeta.
pub fn backward(pooled: &Pooled, dy: &Tensor, need_x: bool) -> Result<[Option<Tensor>; 3]> {
    let Pooled {
        norm,
        winner,
        index,
    } = pooled;
    assert_eq!(
        winner.shape(),
        dy.shape(),
        "batch_norm_relu_max_pool: gradient"
    );
    let dx = need_x.then(|| norm.like_x()).transpose()?;
    let [dgamma, dbeta] = norm.sum_over_groups(|group| {
        let pooled = [winner, index, dy].map(|t| group.of(t));
        let sums = sums(&group.norm, &pooled)?;
        if let Some(dx) = &dx {
            backward_x(&group.norm, &pooled, &sums, &group.of(dx))?;
        }
        Ok(sums)
    })?;
    Ok([dx, Some(dgamma), Some(dbeta)])
}

/// dgamma, dbeta.
fn sums(norm: &Norm, [winner, index, dy]: &[Tensor; 3]) -> Result<[Tensor; 2]> {
    let rows = (winner.len() / norm.gamma.len()) as u32;
    let partial = norm.partial(rows)?;
    norm.x.device().launch(BatchNormReluMaxPoolSums {
        winner: winner.ptr(),
        index: index.ptr(),
        dy: dy.ptr(),
        statistics: norm.statistics.ptr(),
        partial: partial.chunks.ptr(),
        rows,
        channels: norm.channels(),
        chunk_rows: partial.chunk_rows,
    })?;
    norm.combine_sums(&partial)
}

/// Writes dx.
fn backward_x(
    norm: &Norm,
    [_, index, dy]: &[Tensor; 3],
    [dgamma, dbeta]: &[Tensor; 2],
    dx: &Tensor,
) -> Result<()> {
    let [images, height, width, _] = norm.x.dims_of();
    norm.x.device().launch(BatchNormReluMaxPoolBackward {
        x: norm.x.ptr(),
        index: index.ptr(),
        dy: dy.ptr(),
        statistics: norm.statistics.ptr(),
        gamma: norm.gamma.ptr(),
        dgamma: dgamma.ptr(),
        dbeta: dbeta.ptr(),
        dx: dx.ptr(),
        images: images as u32,
        height: height as u32,
        width: width as u32,
        channels: norm.channels(),
        inverse_rows: norm.inverse_rows,
    })
}

/// The sizes that the two kernels over images share.
struct Sizes {
    images: usize,
    height: usize,
    width: usize,
    channels: usize,
}

impl Sizes {
    fn of([images, height, width, channels]: [u32; 4]) -> Sizes {
        let [images, height, width, channels] =
            [images, height, width, channels].map(|n| n as usize);
        Sizes {
            images,
            height,
            width,
            channels,
        }
    }
    fn inputs(&self) -> usize {
        self.images * self.height * self.width * self.channels
    }
    fn out_height(&self) -> usize {
        self.height.div_ceil(2)
    }
    fn out_width(&self) -> usize {
        self.width.div_ceil(2)
    }
    fn outputs(&self) -> usize {
        self.images * self.out_height() * self.out_width() * self.channels
    }
    /// A block takes a row of outputs: as many of them at once as fit and leave none over. Down the grid,
    /// 8 blocks a multiprocessor, as for batch norm's other kernels.
    fn grid(&self, arch: Arch) -> Grid {
        let (blocks, [across, most, _]) = threads(self.channels as u32);
        let rounds = (self.out_width() as u32).div_ceil(most);
        let down = (self.out_width() as u32).div_ceil(rounds.max(1)).max(1);
        let rows = (self.images * self.out_height()) as u32;
        let most = (8 * arch.multiprocessors).div_ceil(blocks.max(1));
        Grid::blocks([blocks, rows.min(most), 1], [across, down, 1])
    }
}

impl Kernel for BatchNormReluMaxPoolForward {
    fn grid(&self, arch: Arch) -> Grid {
        Sizes::of([self.images, self.height, self.width, self.channels]).grid(arch)
    }
    fn bytes(&self, real: Real) -> u64 {
        let sizes = Sizes::of([self.images, self.height, self.width, self.channels]);
        real.bytes() * sizes.inputs() as u64 + (2 * real.bytes() + 1) * sizes.outputs() as u64
    }
    fn on_cpu(&self, memory: &Host) {
        let s = Sizes::of([self.images, self.height, self.width, self.channels]);
        let x = memory.read::<f32>(self.x, s.inputs());
        let y = memory.write::<f32>(self.y, s.outputs());
        let winner = memory.write::<f32>(self.winner, s.outputs());
        let index = memory.write::<u8>(self.index, s.outputs());
        let affine = Affine::new(memory, self.statistics, self.gamma, s.channels);
        let beta = memory.read::<f32>(self.beta, s.channels);
        let line = s.out_width() * s.channels;
        let lines = y
            .par_chunks_mut(line)
            .zip(winner.par_chunks_mut(line))
            .zip(index.par_chunks_mut(line));
        lines.enumerate().for_each(|(row, ((y, winner), index))| {
            let (image, out_y) = (row / s.out_height(), row % s.out_height());
            y.fill(0.0);
            winner.fill(0.0);
            index.fill(NOBODY);
            for (out_x, at) in (0..line).step_by(s.channels).enumerate() {
                let at = at..at + s.channels;
                for (down, in_y) in inside(out_y, s.height) {
                    for (right, in_x) in inside(out_x, s.width) {
                        let pixel = (image * s.height + in_y) * s.width + in_x;
                        let x = &x[pixel * s.channels..][..s.channels];
                        let place = (down * WINDOW + right) as u8;
                        let best = (&mut y[at.clone()], &mut winner[at.clone()]);
                        contest(
                            x,
                            [&affine.scale, affine.mean, beta],
                            place,
                            best,
                            &mut index[at.clone()],
                        );
                    }
                }
            }
        });
    }
}

/// Every channel of one pixel against the best so far.
fn contest(
    x: &[f32],
    [scale, mean, shift]: [&[f32]; 3],
    place: u8,
    (best, winner): (&mut [f32], &mut [f32]),
    index: &mut [u8],
) {
    let n = x.len();
    let (scale, mean, shift) = (&scale[..n], &mean[..n], &shift[..n]);
    let (best, winner, index) = (&mut best[..n], &mut winner[..n], &mut index[..n]);
    for c in 0..n {
        let v = (x[c] - mean[c]) * scale[c] + shift[c];
        let wins = v > best[c];
        best[c] = if wins { v } else { best[c] };
        winner[c] = if wins { x[c] } else { winner[c] };
        index[c] = if wins { place } else { index[c] };
    }
}

/// Where window `out` lies on `size` pixels: (place in the window, pixel).
fn inside(out: usize, size: usize) -> impl Iterator<Item = (usize, usize)> {
    let places = (0..WINDOW).filter(move |place| (1..=size).contains(&(2 * out + place)));
    places.map(move |place| (place, 2 * out + place - 1))
}

/// The windows that reach `pixel`.
fn covering(pixel: usize, windows: usize) -> Range<usize> {
    pixel / 2..windows.min(pixel.div_ceil(2) + 1)
}

impl Kernel for BatchNormReluMaxPoolSums {
    fn grid(&self, _: Arch) -> Grid {
        chunks_grid(self.rows, self.channels, self.chunk_rows)
    }
    fn bytes(&self, real: Real) -> u64 {
        (2 * real.bytes() + 1) * self.rows as u64 * self.channels as u64
    }
    fn on_cpu(&self, memory: &Host) {
        let channels = self.channels as usize;
        let n = self.rows as usize * channels;
        let chunks = self.rows.div_ceil(self.chunk_rows) as usize;
        let (winner, dy) = (
            memory.read::<f32>(self.winner, n),
            memory.read::<f32>(self.dy, n),
        );
        let index = memory.read::<u8>(self.index, n);
        let mean = memory.read::<f32>(self.statistics, channels);
        let partial = memory.write::<f32>(self.partial, chunks * 2 * channels);
        let chunk = self.chunk_rows as usize * channels;
        let inputs = (
            winner.par_chunks(chunk),
            dy.par_chunks(chunk),
            index.par_chunks(chunk),
        );
        let chunks = inputs
            .into_par_iter()
            .zip(partial.par_chunks_mut(2 * channels));
        chunks.for_each(|((winner, dy, index), partial)| {
            let passed = dy.iter().zip(index).map(|(dy, index)| match *index {
                NOBODY => 0.0,
                _ => *dy,
            });
            let passed: Vec<f32> = passed.collect();
            rows::sum(partial, [winner, &passed], [mean], |[x, dy], [mean]| {
                [dy, dy * (x - mean)]
            });
        });
    }
}

impl Kernel for BatchNormReluMaxPoolBackward {
    fn grid(&self, arch: Arch) -> Grid {
        Sizes::of([self.images, self.height, self.width, self.channels]).grid(arch)
    }
    fn bytes(&self, real: Real) -> u64 {
        let sizes = Sizes::of([self.images, self.height, self.width, self.channels]);
        2 * real.bytes() * sizes.inputs() as u64 + (real.bytes() + 1) * sizes.outputs() as u64
    }
    fn on_cpu(&self, memory: &Host) {
        let s = Sizes::of([self.images, self.height, self.width, self.channels]);
        let x = memory.read::<f32>(self.x, s.inputs());
        let dx = memory.write::<f32>(self.dx, s.inputs());
        let dy = memory.read::<f32>(self.dy, s.outputs());
        let index = memory.read::<u8>(self.index, s.outputs());
        let affine = Affine::new(memory, self.statistics, self.gamma, s.channels);
        let [along_x, along_one] =
            affine.along(memory, [self.dgamma, self.dbeta], self.inverse_rows);
        let parameters = [affine.mean, &affine.scale, &along_x, &along_one];
        let line = s.width * s.channels;
        let lines = dx.par_chunks_mut(line).zip(x.par_chunks(line)).enumerate();
        lines.for_each(|(row, (dx, x))| {
            let (image, in_y) = (row / s.height, row % s.height);
            let mut sums = vec![0.0; line];
            for (in_x, sums) in sums.chunks_exact_mut(s.channels).enumerate() {
                for out_y in covering(in_y, s.out_height()) {
                    for out_x in covering(in_x, s.out_width()) {
                        let place = (in_y + 1 - 2 * out_y) * WINDOW + in_x + 1 - 2 * out_x;
                        let window = (image * s.out_height() + out_y) * s.out_width() + out_x;
                        let at = window * s.channels..(window + 1) * s.channels;
                        let won = sums.iter_mut().zip(&dy[at.clone()]).zip(&index[at]);
                        for ((sum, dy), index) in won {
                            *sum += if *index as usize == place { *dy } else { 0.0 };
                        }
                    }
                }
            }
            rows::map_here(dx, [x, &sums], parameters, &|[x, dy]: [f32; 2],
                                                         [
                mean,
                scale,
                along_x,
                along_one,
            ]: [f32; 4]| {
                scale * (dy - along_one - (x - mean) * along_x)
            });
        });
    }
}
