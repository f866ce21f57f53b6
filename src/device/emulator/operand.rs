//! Operands of wgmma in shared memory: what a matrix descriptor says of where each chunk of 16 bytes is
//! (PTX ISA, "Asynchronous warpgroup level matrix shared memory layout").
use super::{
    shared::WINDOW_BYTES,
    tensor_map::{CHUNK_BYTES, swizzled},
};
use half::bf16;

/// Elements of a chunk.
const CHUNK: usize = 8;
/// The sum of one instruction.
pub(super) const DEPTH: usize = 16;

/// Which index runs along a chunk: k, or that of the rows of A or the columns of B.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(not(test), expect(dead_code, reason = "kernels make them"))]
pub(super) enum Major {
    K,
    Mn,
}

pub(super) struct Operand {
    start: usize,
    leading: usize,
    stride: usize,
    /// 16 (none), 32, 64 or 128.
    swizzle_bytes: usize,
    major: Major,
}

impl Operand {
    pub fn decode(descriptor: u64, major: Major) -> Result<Operand, String> {
        let bytes = |shift: u32| ((descriptor >> shift) as usize & 0x3FFF) << 4;
        if descriptor >> 49 & 7 != 0 {
            return Err(
                "a matrix descriptor with a base offset: begin tiles where the swizzle does".into(),
            );
        }
        Ok(Operand {
            start: bytes(0),
            leading: bytes(16),
            stride: bytes(32),
            swizzle_bytes: [16, 128, 64, 32][(descriptor >> 62) as usize],
            major,
        })
    }

    /// Where the chunk is that holds element (row, k), itself at a chunk's beginning along its major index.
    fn chunk(&self, row: usize, k: usize) -> usize {
        // A core matrix has eight chunks; with a swizzle several lie side by side in a span.
        let span = self.swizzle_bytes;
        let side = span / CHUNK_BYTES;
        let at = match self.major {
            Major::K if side == 1 => {
                row / 8 * self.stride + k / CHUNK * self.leading + row % 8 * span
            }
            Major::K => row / 8 * self.stride + row % 8 * span + k / CHUNK * CHUNK_BYTES,
            Major::Mn if side == 1 => {
                row / CHUNK * self.stride + k / 8 * self.leading + k % 8 * span
            }
            Major::Mn => {
                let chunk = row / CHUNK;
                let within = chunk % side * CHUNK_BYTES + k % 8 * span;
                chunk / side * self.leading + k / 8 * self.stride + within
            }
        };
        swizzled(self.start + at, span)
    }

    /// The chunks of `rows` rows, each with where it is and its first (row, k).
    fn chunks(&self, rows: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        let (row_step, k_step) = match self.major {
            Major::K => (1, CHUNK),
            Major::Mn => (CHUNK, 1),
        };
        (0..rows).step_by(row_step).flat_map(move |row| {
            let ks = (0..DEPTH).step_by(k_step);
            ks.map(move |k| (self.chunk(row, k), row, k))
        })
    }

    /// Offset and bytes of all that an instruction reads of `rows` rows.
    pub fn places(&self, rows: usize) -> impl Iterator<Item = (usize, usize)> {
        self.chunks(rows).map(|(at, ..)| (at, CHUNK_BYTES))
    }

    /// Hands each element of `rows` rows to `take(row, k, value)`, from a window that `read` reads.
    pub fn gather<'a>(
        &self,
        rows: usize,
        read: impl Fn(usize) -> &'a [u8],
        mut take: impl FnMut(usize, usize, f32),
    ) -> Result<(), String> {
        for (at, row, k) in self.chunks(rows) {
            if at + CHUNK_BYTES > WINDOW_BYTES {
                return Err("an operand beyond the end of shared memory".into());
            }
            for (i, bits) in read(at).chunks_exact(2).enumerate() {
                let value = bf16::from_bits(u16::from_ne_bytes([bits[0], bits[1]])).to_f32();
                match self.major {
                    Major::K => take(row, k + i, value),
                    Major::Mn => take(row + i, k, value),
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swizzled_tile_of_128_byte_rows() {
        // start 2048, 1024 bytes from eight rows to the next, swizzle over 128 bytes
        let descriptor = 2048 >> 4 | (1024 >> 4) << 32 | 1 << 62;
        let operand = Operand::decode(descriptor, Major::K).unwrap();
        assert_eq!(operand.chunk(0, 8), 2048 + 16);
        assert_eq!(operand.chunk(9, 8), 2048 + 1024 + 128);
        let across = Operand::decode(descriptor, Major::Mn).unwrap();
        assert_eq!(across.chunk(8, 2), 2048 + 2 * 128 + (1 ^ 2) * 16);
        assert_eq!(across.chunk(0, 9), 2048 + 1024 + 128 + 16);
    }
}
