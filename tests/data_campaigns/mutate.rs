//! Damage of every kind to valid bytes: a function of its number alone, so that a failure can be had again.
use selfsame::random::{Draws, Purpose};

/// Numbers that lengths and counts go wrong at.
const EDGES: [u64; 8] = [0, 1, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff, u64::MAX];

/// One of `valid`, changed in one to eight places; now and then random bytes.
pub fn mutated(valid: &[Vec<u8>], number: u32) -> Vec<u8> {
    let mut draws = Draws::new(7, Purpose::Split, 1, number, 0);
    let pick = |draws: &mut Draws| draws.below(valid.len() as u32) as usize;
    let mut bytes = valid[pick(&mut draws)].clone();
    if draws.below(50) == 0 {
        return (0..draws.below(2000)).map(|_| draws.bits() as u8).collect();
    }
    for _ in 0..1 + draws.below(8) {
        if bytes.is_empty() {
            break;
        }
        let len = bytes.len() as u32;
        // Headers are short and matter most.
        let within = if draws.below(2) == 0 {
            len.min(64)
        } else {
            len
        };
        let at = draws.below(within) as usize;
        let end = (at + 1 + draws.below(64) as usize).min(bytes.len());
        match draws.below(10) {
            0..4 => bytes[at] = draws.bits() as u8,
            4 => bytes[at] ^= 1 << draws.below(8),
            5 => {
                let edge = EDGES[draws.below(8) as usize].to_le_bytes();
                let width = [1, 2, 4, 8][draws.below(4) as usize].min(bytes.len() - at);
                let big = draws.below(2) == 0;
                for (i, byte) in bytes[at..at + width].iter_mut().enumerate() {
                    *byte = edge[if big { width - 1 - i } else { i }];
                }
            }
            6 => drop(bytes.drain(at..end)),
            7 => {
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            8 => {
                let other = &valid[pick(&mut draws)];
                let from = draws.below(other.len() as u32 + 1) as usize;
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            _ => match draws.below(4) {
                0 => bytes.truncate(at),
                _ => bytes[at..end].fill(0),
            },
        }
    }
    bytes
}
