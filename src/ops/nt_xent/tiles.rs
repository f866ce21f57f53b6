//! Which kernels NT-Xent and InfoNCE take, and in what ranges of columns: pure functions of shape, temperature
//! and architecture, so that a result never depends on a timing.
use crate::device::{Arch, Grid, KernelInfo, Real};

/// Of `contrast_mma.cuh` and `mma_tile.cuh`: rows of a stage, stages, threads, bytes of 64 bf16.
const STAGE_ROWS: u32 = 64;
const RING: u32 = 2;
const THREADS: u32 = 128;
const ROW_BYTES: u32 = 128;
/// Of the plain kernels: rows of a block, columns of d whose gradient it sums in registers.
const PLAIN_ROWS: u32 = 32;
pub const GRADIENT_COLS: u32 = 128;

/// Where exp(2 / temperature), over a norm of 1e-12 at least, ends f32: temperatures from 1/30 on.
const WIDEST: f32 = 60.0;

/// Rows a block owns, and the d it has room for.
#[derive(Clone, Copy)]
pub struct Tile {
    pub rows: u32,
    pub d: u32,
}

/// Tensor cores multiply bf16, and copies are eight neighbours of a row. Up to d = 128 a warp owns 32 rows,
/// which asks shared memory for half of what 16 would; above that registers hold 16 rows' sums.
pub fn tensor_cores(d: u32, temperature: f32, arch: Arch) -> Option<Tile> {
    let can = arch.real == Real::Bf16
        && arch.compute >= 80
        && d.is_multiple_of(8)
        && 2.0 <= WIDEST * temperature;
    match d {
        _ if !can => None,
        1..=64 => Some(Tile { rows: 128, d: 64 }),
        65..=128 => Some(Tile { rows: 128, d: 128 }),
        129..=256 => Some(Tile { rows: 64, d: 256 }),
        _ => None,
    }
}

/// Of the plain kernel and those with room for d = 64, 128, 256.
pub fn kernel(
    d: u32,
    temperature: f32,
    arch: Arch,
    [plain, d64, d128, d256]: [&'static KernelInfo; 4],
) -> &'static KernelInfo {
    match tensor_cores(d, temperature, arch).map(|tile| tile.d) {
        None => plain,
        Some(64) => d64,
        Some(128) => d128,
        Some(_) => d256,
    }
}

/// Columns of similarities that a row's sums are made of at a time, of NT-Xent's `rows` rows: all, where no
/// tensor cores are.
pub fn range_of_views(rows: u32, d: u32, temperature: f32, arch: Arch) -> u32 {
    match tensor_cores(d, temperature, arch) {
        None => rows.next_multiple_of(STAGE_ROWS),
        Some(tile) => range(tile, rows, rows, d, arch),
    }
}

/// The same of `rows` queries and `count` negatives: where no tensor cores are, so many that a CPU has
/// similarities of 64 rows in its cache, and that few queries make work for all its threads.
pub fn range_of_negatives(rows: u32, count: u32, d: u32, temperature: f32, arch: Arch) -> u32 {
    match tensor_cores(d, temperature, arch) {
        None => count.next_multiple_of(STAGE_ROWS).min(1024),
        Some(tile) => range(tile, rows, count, d, arch),
    }
}

/// All columns, unless tiles of rows alone would leave multiprocessors (two blocks each) idle: more ranges
/// fill them, and each has its own f32 sums, written and read back. In clocks of forward and backward, at
/// the rates of an H100: 1,300 multiply-adds of mma.sync a clock and multiprocessor, 2,400 bytes a
/// clock through device memory.
fn range(tile: Tile, rows: u32, columns: u32, d: u32, arch: Arch) -> u32 {
    let (tiles, stages) = (rows.div_ceil(tile.rows), columns.div_ceil(STAGE_ROWS));
    let at_once = 2 * arch.multiprocessors;
    let stage_clocks = 3 * (tile.rows * STAGE_ROWS * tile.d) as u64 / (1_300 / 2);
    let clocks = |splits: u32| {
        let waves = (tiles * splits).div_ceil(at_once) as u64;
        let stages = stages.div_ceil(splits) as u64 + 1; // one to begin with
        waves * stages * stage_clocks + 8 * splits as u64 * rows as u64 * d as u64 / 2_400
    };
    let most = stages.min(at_once).max(1);
    let splits = (1..=most).min_by_key(|&splits| clocks(splits)).unwrap_or(1);
    stages.div_ceil(splits) * STAGE_ROWS
}

/// Of a stage's rows besides z, for NT-Xent: two f32 each.
pub const KNOWN_BYTES: u32 = 2 * 4 * STAGE_ROWS;

/// A block for each tile of rows and each range of columns; of the plain kernels, `layers` of them. On tensor
/// cores a stage of the ring has `known_bytes` besides its rows.
pub fn grid(tile: Option<Tile>, rows: u32, splits: u32, layers: u32, known_bytes: u32) -> Grid {
    let Some(tile) = tile else {
        return Grid::blocks([rows.div_ceil(PLAIN_ROWS), splits, layers], [256, 1, 1]);
    };
    let row_bytes = tile.d / 64 * ROW_BYTES;
    Grid {
        shared_bytes: tile.rows * row_bytes + RING * (STAGE_ROWS * row_bytes + known_bytes),
        ..Grid::blocks([rows.div_ceil(tile.rows), splits, 1], [THREADS, 1, 1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn h100(real: Real) -> Arch {
        Arch {
            compute: 90,
            multiprocessors: 132,
            real,
        }
    }

    #[test]
    fn tensor_cores_take_what_they_can() {
        let room = |d, temperature, real| tensor_cores(d, temperature, h100(real)).map(|t| t.d);
        assert_eq!(room(128, 0.5, Real::Bf16), Some(128));
        assert_eq!(room(8, 0.05, Real::Bf16), Some(64));
        assert_eq!(room(136, 0.034, Real::Bf16), Some(256));
        assert_eq!(room(128, 0.033, Real::Bf16), None);
        assert_eq!(room(128, 0.5, Real::F32), None);
        assert_eq!(room(127, 0.5, Real::Bf16), None);
        assert_eq!(room(264, 0.5, Real::Bf16), None);
    }

    /// 64 tiles of rows in four ranges: 256 blocks where 264 run at once; at 65,536 rows tiles are enough.
    #[test]
    fn ranges_fill_one_wave() {
        let range = |rows, real| range_of_views(rows, 128, 0.5, h100(real));
        assert_eq!(range(8192, Real::Bf16), 2048);
        assert_eq!(range(65_536, Real::Bf16), 65_536);
        assert_eq!(range(100, Real::F32), 128);
    }

    /// MoCo's: two tiles of rows in 128 ranges. The plain kernels have ranges too, of whole stages.
    #[test]
    fn few_queries_have_many_ranges() {
        let range = |count, real| range_of_negatives(256, count, 128, 0.2, h100(real));
        assert_eq!(range(65_536, Real::Bf16), 512);
        assert_eq!(range(65_536, Real::F32), 1024);
        assert_eq!(range(100, Real::F32), 128);
    }
}
