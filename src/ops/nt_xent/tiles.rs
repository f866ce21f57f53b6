//! Which kernels NT-Xent takes, and in what ranges of columns: pure functions of its shape, the
//! temperature and the architecture, so that a result never depends on a timing.
use crate::device::{Arch, Grid, Real};

/// Of `nt_xent_mma.cuh` and `mma_tile.cuh`: rows of a stage, stages, threads, bytes of 64 bf16.
const STAGE_ROWS: u32 = 64;
const RING: u32 = 2;
const THREADS: u32 = 128;
const ROW_BYTES: u32 = 128;
/// Of the plain kernels: rows of a block.
const PLAIN_ROWS: u32 = 32;

/// Where exp(2 / temperature), over a norm of 1e-12 at least, ends f32: temperatures from 1/30 on.
const WIDEST: f32 = 60.0;

/// Rows a block owns, and the d it has room for.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    pub rows: u32,
    pub d: u32,
}

/// Tensor cores multiply bf16, and copies are eight neighbours of a row. Up to d = 128 a warp owns 32 rows,
/// which asks shared memory for half of what 16 would; above that registers hold 16 rows' sums.
pub(super) fn tensor_cores(d: u32, temperature: f32, arch: Arch) -> Option<Tile> {
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

/// How many columns a row's sums are made of at a time. All, unless tiles of rows alone would leave
/// multiprocessors (two blocks each) idle: more ranges fill them, and each has its own f32 sums, written and
/// read back. In clocks of forward and backward, at the rates of an H100: 1,300 multiply-adds of
/// mma.sync a clock and multiprocessor, 2,400 bytes a clock through device memory.
pub fn range(rows: u32, d: u32, temperature: f32, arch: Arch) -> u32 {
    let Some(tile) = tensor_cores(d, temperature, arch) else {
        return rows.next_multiple_of(STAGE_ROWS);
    };
    let (tiles, stages) = (rows.div_ceil(tile.rows), rows.div_ceil(STAGE_ROWS));
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

/// A block for each tile of rows and each range of columns; of the plain kernels, `layers` of them.
pub(super) fn grid(tile: Option<Tile>, rows: u32, splits: u32, layers: u32) -> Grid {
    let Some(tile) = tile else {
        return Grid::blocks([rows.div_ceil(PLAIN_ROWS), splits, layers], [256, 1, 1]);
    };
    let row_bytes = tile.d / 64 * ROW_BYTES;
    let known_bytes = 2 * 4 * STAGE_ROWS; // of a stage's rows, besides z
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
        assert_eq!(range(8192, 128, 0.5, h100(Real::Bf16)), 2048);
        assert_eq!(range(65_536, 128, 0.5, h100(Real::Bf16)), 65_536);
        assert_eq!(range(100, 128, 0.5, h100(Real::F32)), 128);
    }
}
