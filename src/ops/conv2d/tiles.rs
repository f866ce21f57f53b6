//! Which kernel a convolution takes, in what tiles and how many splits: pure functions of its shape and the
//! architecture, so that a result never depends on a timing.
use crate::device::{Arch, Grid, Real, kernels::Window};

/// A row of a stage in shared memory: 64 terms of the sum.
const ROW_BYTES: u32 = 128;

/// Which kernel, and its tile: rows by columns of the output.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tile {
    /// Any shape and number type.
    Plain,
    /// mma.sync, from compute capability 8.0 on.
    Mma([u32; 2]),
    /// wgmma and the copy engine, of 9.0 alone.
    Wgmma([u32; 2]),
}
use Tile::{Mma, Plain, Wgmma};

impl Tile {
    fn of(g: &Window, arch: Arch, mma: [u32; 2], wgmma: [u32; 2]) -> Tile {
        let in_chunks_of = |n: u32| g.c.is_multiple_of(n) && g.k.is_multiple_of(n);
        // mma.sync copies 16 bytes, eight channels of one pixel; wgmma 128 bytes. Its maps are for
        // strides of 1 and 2, and know the windows' corners to within 128 pixels.
        let windows = g.stride <= 2 && g.r.max(g.s).max(g.padding) < 64;
        match arch.real {
            Real::Bf16 if arch.compute == 90 && in_chunks_of(64) && windows => Wgmma(wgmma),
            Real::Bf16 if arch.compute >= 80 && in_chunks_of(8) => Mma(mma),
            _ => Plain,
        }
    }

    /// A block for each tile of (rows, columns), columns fastest, in so many layers.
    pub(super) fn grid(self, [rows, columns]: [u32; 2], layers: u32) -> Grid {
        let (threads, [m, n], stages) = match self {
            // The plain kernels number their blocks otherwise.
            Plain => {
                let blocks = [rows.div_ceil(64), columns.div_ceil(64), layers];
                return Grid::blocks(blocks, [256, 1, 1]);
            }
            Mma(tile) => (128, tile, 3),
            Wgmma([m, n]) if m + n == 256 => (288, [m, n], 3),
            Wgmma(tile) => (288, tile, 4),
        };
        let blocks = [rows.div_ceil(m) * columns.div_ceil(n), layers, 1];
        Grid {
            shared_bytes: stages * (m + n) * ROW_BYTES,
            ..Grid::blocks(blocks, [threads, 1, 1])
        }
    }
}

/// Rows of y that forward tells the statistics of at a time: those of a tile, whichever it takes.
pub(super) const STATISTICS_ROWS: u32 = 128;

/// The CPU and tensor cores do; the plain kernels, which are for odd shapes, do not.
pub(super) fn tells_statistics(g: &Window, arch: Arch) -> bool {
    arch.compute == 0 || forward(g, arch) != Plain
}

/// Columns of a tile of 128 rows. Wide tiles read shared memory least; a narrow one wastes less where
/// there are 64 channels, or where wide ones would leave multiprocessors (two tiles each) idle.
fn columns([rows, columns]: [u32; 2], arch: Arch) -> u32 {
    let wide = rows.div_ceil(128) as u64 * columns.div_ceil(128) as u64;
    match columns <= 64 || wide < 2 * arch.multiprocessors as u64 {
        true => 64,
        false => 128,
    }
}

/// As `columns`, and 256 where nothing is cut off, the sum is so long (16 stages) that a tile's end does
/// not count, and every multiprocessor has a tile.
fn wgmma_columns([rows, n]: [u32; 2], terms: u32, arch: Arch) -> u32 {
    let tiles = rows.div_ceil(128) as u64 * (n / 256) as u64;
    let long = n.is_multiple_of(256) && terms >= 1024 && tiles >= arch.multiprocessors as u64;
    if long { 256 } else { columns([rows, n], arch) }
}

pub(super) fn forward(g: &Window, arch: Arch) -> Tile {
    let size = [g.n * g.p * g.q, g.k];
    let wgmma = wgmma_columns(size, g.r * g.s * g.c, arch);
    Tile::of(g, arch, [128, columns(size, arch)], [128, wgmma])
}

pub(super) fn input_gradient(g: &Window, arch: Arch) -> Tile {
    let size = [g.n * g.h * g.w, g.c];
    let wgmma = wgmma_columns(size, g.r * g.s * g.k / (g.stride * g.stride), arch);
    Tile::of(g, arch, [128, columns(size, arch)], [128, wgmma])
}

/// Rows are k, columns (r, s, c): where k is 64, half of a larger tile would be empty.
pub(super) fn weight_gradient(g: &Window, arch: Arch) -> Tile {
    let tile = [if g.k <= 64 { 64 } else { 128 }, 128];
    Tile::of(g, arch, tile, tile)
}

/// How many ranges of output pixels the weight gradient sums apart, and their length.
pub fn splits(g: &Window, arch: Arch) -> (u32, u32) {
    let pixels = g.n * g.p * g.q;
    let wanted = match weight_gradient(g, arch) {
        // The rates of an H100: multiply-adds a clock and multiprocessor.
        Mma(tile) => cheapest_splits(g, tile, 1_300, arch),
        Wgmma(tile) => cheapest_splits(g, tile, 1_600, arch),
        // A small weight has few tiles, so only splits fill the machine; a large one would pay for each
        // split with its own size.
        Plain => match g.k * g.r * g.s * g.c {
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
/// In clocks, two blocks a multiprocessor, 2,400 bytes a clock through device memory.
fn cheapest_splits(g: &Window, [m, n]: [u32; 2], rate: u64, arch: Arch) -> u32 {
    let pixels = (g.n * g.p * g.q) as u64;
    let (k, columns) = (g.k as u64, (g.r * g.s * g.c) as u64);
    let tiles = k.div_ceil(m as u64) * columns.div_ceil(n as u64);
    let at_once = 2 * arch.multiprocessors as u64;
    let clocks = |splits: u64| {
        let waves = (tiles * splits).div_ceil(at_once);
        let multiplying = waves * pixels.div_ceil(splits) * 2 * (m * n) as u64 / rate;
        multiplying + 8 * splits * k * columns / 2_400
    };
    let most = pixels.div_ceil(256).min(4 * at_once).max(1);
    (1..=most).min_by_key(|&splits| clocks(splits)).unwrap_or(1) as u32
}
