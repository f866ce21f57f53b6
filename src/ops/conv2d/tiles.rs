//! Which kernel a convolution takes, in what tiles and how many splits: pure functions of its shape and the
//! architecture, so that a result never depends on a timing.
use crate::device::{Arch, Grid, Real, kernels::Window};

/// Threads and stages of `mma_tile.cuh`; a row of a stage is 128 bytes.
const MMA_THREADS: u32 = 128;
const MMA_STAGES: u32 = 3;
const ROW_BYTES: u32 = 128;

/// Tensor cores multiply bf16, and copies are 16 bytes: eight channels, all of one pixel.
fn has_tensor_cores(g: &Window, arch: Arch) -> bool {
    arch.real == Real::Bf16 && arch.compute >= 80 && g.c.is_multiple_of(8) && g.k.is_multiple_of(8)
}

/// Rows by columns of an output (pixels, channels). Wide tiles read shared memory least; a narrow one
/// wastes less where there are 64 channels, or where wide ones would leave multiprocessors (two tiles
/// each) idle.
fn tile([rows, columns]: [u32; 2], arch: Arch) -> [u32; 2] {
    let wide = rows.div_ceil(128) as u64 * columns.div_ceil(128) as u64;
    if columns <= 64 || wide < 2 * arch.multiprocessors as u64 {
        [128, 64]
    } else {
        [128, 128]
    }
}

/// Rows of y that forward tells the statistics of at a time: those of a tile, whichever it takes.
pub(super) const STATISTICS_ROWS: u32 = 128;

/// The CPU and tensor cores do; the plain kernels, which are for odd shapes, do not.
pub(super) fn tells_statistics(g: &Window, arch: Arch) -> bool {
    arch.compute == 0 || has_tensor_cores(g, arch)
}

pub(super) fn forward(g: &Window, arch: Arch) -> Option<[u32; 2]> {
    has_tensor_cores(g, arch).then(|| tile([g.n * g.p * g.q, g.k], arch))
}

pub(super) fn input_gradient(g: &Window, arch: Arch) -> Option<[u32; 2]> {
    has_tensor_cores(g, arch).then(|| tile([g.n * g.h * g.w, g.c], arch))
}

/// Rows are k, columns (r, s, c): where k is 64, half of a larger tile would be empty.
pub(super) fn weight_gradient(g: &Window, arch: Arch) -> Option<[u32; 2]> {
    let tile = if g.k <= 64 { [64, 128] } else { [128, 128] };
    has_tensor_cores(g, arch).then_some(tile)
}

/// How many ranges of output pixels the weight gradient sums apart, and their length.
pub fn splits(g: &Window, arch: Arch) -> (u32, u32) {
    let pixels = g.n * g.p * g.q;
    let wanted = match weight_gradient(g, arch) {
        Some(tile) => cheapest_splits(g, tile, arch),
        // A small weight has few tiles, so only splits fill the machine; a large one would pay for each
        // split with its own size.
        None => match g.k * g.r * g.s * g.c {
            0..32_768 => 32,
            32_768..262_144 => 16,
            262_144..1_048_576 => 4,
            _ => 2,
        },
    };
    let range = pixels.div_ceil(wanted).max(256).next_multiple_of(64);
    (pixels.div_ceil(range), range)
}

/// More splits fill the last wave of blocks, and each writes and reads back an f32 copy of the weight.
/// In clocks, two blocks a multiprocessor, at the rates of an H100: 1,300 multiply-adds of mma.sync a
/// clock and multiprocessor, 2,400 bytes a clock through device memory.
fn cheapest_splits(g: &Window, [m, n]: [u32; 2], arch: Arch) -> u32 {
    let pixels = (g.n * g.p * g.q) as u64;
    let (k, columns) = (g.k as u64, (g.r * g.s * g.c) as u64);
    let tiles = k.div_ceil(m as u64) * columns.div_ceil(n as u64);
    let at_once = 2 * arch.multiprocessors as u64;
    let clocks = |splits: u64| {
        let waves = (tiles * splits).div_ceil(at_once);
        let multiplying = waves * pixels.div_ceil(splits) * 2 * (m * n) as u64 / 1_300;
        multiplying + 8 * splits * k * columns / 2_400
    };
    let most = pixels.div_ceil(256).min(4 * at_once).max(1);
    (1..=most).min_by_key(|&splits| clocks(splits)).unwrap_or(1) as u32
}

pub(super) fn plain(blocks: [u32; 3]) -> Grid {
    Grid::blocks(blocks, [256, 1, 1])
}

/// A block for each tile of (rows, columns), columns fastest, in so many layers.
pub(super) fn tensor_cores([m, n]: [u32; 2], [rows, columns]: [u32; 2], layers: u32) -> Grid {
    let blocks = [rows.div_ceil(m) * columns.div_ceil(n), layers, 1];
    Grid {
        shared_bytes: MMA_STAGES * (m + n) * ROW_BYTES,
        ..Grid::blocks(blocks, [MMA_THREADS, 1, 1])
    }
}
