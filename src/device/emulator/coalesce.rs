//! What one instruction of a warp costs the memory system: its lanes' accesses, taken together.
use super::block::WARP;

const SECTOR_BYTES: usize = 32;
const BANK_BYTES: usize = 4;
const BANKS: usize = 32;

/// One lane's part of an instruction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access {
    pub lane: u32,
    pub address: usize,
    pub bytes: usize,
}

/// The numbers of `unit`-byte units that the accesses touch, each once.
fn units(accesses: &[Access], unit: usize) -> Vec<usize> {
    let touched = |a: &Access| a.address / unit..(a.address + a.bytes).div_ceil(unit);
    let mut units: Vec<usize> = accesses.iter().flat_map(touched).collect();
    units.sort_unstable();
    units.dedup();
    units
}

/// The 32-byte sectors of device memory that have to come or go.
pub(super) fn sectors(accesses: &[Access]) -> u64 {
    units(accesses, SECTOR_BYTES).len() as u64
}

/// The turns that shared memory takes, and how few they were if no bank were asked for two words at once.
/// It serves 32 lanes in turn with 4 bytes each, 16 with 8 or 8 with 16.
pub(super) fn wavefronts(accesses: &[Access]) -> (u64, u64) {
    let widest = accesses.iter().map(|a| a.bytes).max().unwrap_or(0);
    let together = match widest {
        0..=4 => WARP,
        5..=8 => WARP / 2,
        _ => WARP / 4,
    };
    let (mut taken, mut fewest) = (0, 0);
    for first in (0..WARP).step_by(together as usize) {
        let served = first..first + together;
        let served: Vec<Access> = accesses
            .iter()
            .filter(|a| served.contains(&a.lane))
            .copied()
            .collect();
        let words = units(&served, BANK_BYTES);
        let mut words_of = [0u64; BANKS];
        words.iter().for_each(|word| words_of[word % BANKS] += 1);
        taken += words_of.into_iter().max().unwrap_or(0);
        fewest += words.len().div_ceil(BANKS) as u64;
    }
    (taken, fewest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every lane's access of `bytes` bytes, `stride` bytes apart.
    fn warp(stride: usize, bytes: usize) -> Vec<Access> {
        let access = |lane| Access {
            lane,
            address: 4096 + lane as usize * stride,
            bytes,
        };
        (0..WARP).map(access).collect()
    }

    #[test]
    fn neighbours_share_sectors() {
        assert_eq!(sectors(&warp(4, 4)), 4);
        assert_eq!(sectors(&warp(2, 2)), 2);
        assert_eq!(sectors(&warp(16, 16)), 16);
        assert_eq!(sectors(&warp(0, 4)), 1);
        assert_eq!(sectors(&warp(128, 4)), 32);
        let shifted: Vec<Access> = warp(4, 4)
            .iter()
            .map(|a| Access {
                address: a.address + 4,
                ..*a
            })
            .collect();
        assert_eq!(sectors(&shifted), 5);
    }

    #[test]
    fn strides_conflict_in_banks() {
        assert_eq!(wavefronts(&warp(4, 4)), (1, 1));
        assert_eq!(wavefronts(&warp(0, 4)), (1, 1));
        assert_eq!(wavefronts(&warp(8, 4)), (2, 1));
        assert_eq!(wavefronts(&warp(128, 4)), (32, 1));
        assert_eq!(wavefronts(&warp(132, 4)), (1, 1));
        assert_eq!(wavefronts(&warp(8, 8)), (2, 2));
        assert_eq!(wavefronts(&warp(16, 16)), (4, 4));
        // Rows of 64 bf16, 16 bytes of each: without padding all eight of a matrix in the same banks.
        assert_eq!(wavefronts(&warp(128, 16)), (32, 4));
        assert_eq!(wavefronts(&warp(144, 16)), (4, 4));
    }
}
