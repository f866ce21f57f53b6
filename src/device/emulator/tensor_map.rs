//! The emulated copy engine's own encoding of a tensor map, and what it copies for given coordinates.
//! Everything is innermost first, as in [`TensorMap`].
use crate::device::{Encoded, Swizzle, TensorMap, Window};
use bytemuck::{Pod, Zeroable};

/// As `CUtensorMap` it has 128 bytes; the address is a word of its own, for the bounds checker to see.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(super) struct Descriptor {
    at: u64,
    magic: u32,
    rank: u8,
    is_im2col: u8,
    element_bytes: u8,
    /// The span within which chunks are permuted: 16 (they are not), 32, 64 or 128 bytes.
    swizzle_bytes: u8,
    dims: [u64; 5],
    strides: [u64; 4],
    /// Of the box, where tiled.
    sizes: [u16; 5],
    steps: [u8; 5],
    unused: u8,
    lower: [i16; 3],
    upper: [i16; 3],
    channels: u16,
    pixels: u16,
    unused_too: [u8; 8],
}

const MAGIC: u32 = 0x7E50_4D41;
pub(super) const CHUNK_BYTES: usize = 16;

/// Where the copy engine and the tensor cores find the chunk at `address` in a tile swizzled within spans
/// of `span` bytes: its place in the span is combined with its row's, of rows 128 bytes long.
#[inline]
pub(super) fn swizzled(address: usize, span: usize) -> usize {
    address ^ ((address >> 7) & (span / CHUNK_BYTES - 1)) << 4
}

/// What the coordinates of one instruction are.
#[derive(Clone, Copy, Default)]
pub(super) struct Coordinates {
    pub at: [i32; 5],
    /// For im2col, along w, h, d: the filter's tap.
    pub offsets: [u16; 3],
}

impl Descriptor {
    /// `map` has been checked.
    pub fn encode(map: &TensorMap) -> Encoded {
        let mut descriptor = Descriptor {
            at: map.at.0,
            magic: MAGIC,
            rank: map.dims.len() as u8,
            element_bytes: map.real.bytes() as u8,
            swizzle_bytes: match map.swizzle {
                Swizzle::None => 16,
                Swizzle::Bytes32 => 32,
                Swizzle::Bytes64 => 64,
                Swizzle::Bytes128 => 128,
            },
            ..Descriptor::zeroed()
        };
        fill(&mut descriptor.dims, map.dims.iter().copied());
        fill(&mut descriptor.strides, map.strides.iter().copied());
        fill(&mut descriptor.steps, map.steps.iter().map(|&s| s as u8));
        match &map.window {
            Window::Tiled(sizes) => fill(&mut descriptor.sizes, sizes.iter().map(|&s| s as u16)),
            Window::Im2col {
                lower,
                upper,
                channels,
                pixels,
            } => {
                descriptor.is_im2col = 1;
                fill(&mut descriptor.lower, lower.iter().map(|&c| c as i16));
                fill(&mut descriptor.upper, upper.iter().map(|&c| c as i16));
                descriptor.channels = *channels as u16;
                descriptor.pixels = *pixels as u16;
            }
        }
        bytemuck::cast(descriptor)
    }

    /// What a kernel hands to the copy engine.
    pub fn decode(encoded: Encoded) -> Option<Descriptor> {
        let descriptor: Descriptor = bytemuck::cast(encoded);
        (descriptor.magic == MAGIC).then_some(descriptor)
    }

    pub fn rank(&self) -> usize {
        self.rank as usize
    }
    pub fn is_im2col(&self) -> bool {
        self.is_im2col == 1
    }
    pub fn element_bytes(&self) -> usize {
        self.element_bytes as usize
    }
    pub fn swizzle_bytes(&self) -> usize {
        self.swizzle_bytes as usize
    }
    /// Bytes of shared memory after which the permutation repeats; a tile begins at a multiple.
    pub fn alignment(&self) -> usize {
        (self.swizzle_bytes() * 8).max(128)
    }

    /// Bytes of a row in shared memory.
    pub fn row_bytes(&self) -> usize {
        let elements = if self.is_im2col() {
            self.channels
        } else {
            self.sizes[0]
        };
        elements as usize * self.element_bytes()
    }

    /// Bytes that one instruction fills, whatever lies outside the tensor.
    pub fn bytes(&self) -> usize {
        let rows = match self.is_im2col() {
            true => self.pixels as usize,
            false => (1..self.rank()).map(|d| self.count(d)).product(),
        };
        rows * self.row_bytes()
    }

    /// How many indices of dimension `d` a box holds.
    fn count(&self, d: usize) -> usize {
        (self.sizes[d] as usize).div_ceil(self.steps[d] as usize)
    }

    /// The last position of the im2col window along spatial dimension `i`.
    fn last(&self, i: usize) -> i64 {
        self.dims[1 + i] as i64 - 1 + self.upper[i] as i64
    }

    /// Whether the instruction may begin where it does.
    pub fn check(&self, coordinates: &Coordinates) -> Result<(), String> {
        let spatial = if self.is_im2col() { self.rank() - 2 } else { 0 };
        for i in 0..spatial {
            let (at, lower, last) = (coordinates.at[1 + i], self.lower[i], self.last(i));
            if i64::from(at) < lower.into() || i64::from(at) > last {
                return Err(format!(
                    "im2col begins at {at} along {}, outside its window of {lower}..={last}",
                    ["w", "h", "d"][i]
                ));
            }
        }
        Ok(())
    }

    /// For each row of the tile, where its tensor row begins in memory; `None` outside the tensor.
    pub fn rows(&self, coordinates: &Coordinates) -> Vec<Option<usize>> {
        match self.is_im2col() {
            true => self.im2col_rows(coordinates),
            false => self.tiled_rows(coordinates),
        }
    }

    /// `index` of dimensions 1 and further.
    fn row_at(&self, index: impl Iterator<Item = i64>) -> Option<usize> {
        let mut at = self.at as usize;
        for (d, index) in (1..).zip(index) {
            let inside = (0..self.dims[d] as i64).contains(&index);
            at += inside.then(|| index as usize * self.strides[d - 1] as usize)?;
        }
        Some(at)
    }

    fn tiled_rows(&self, coordinates: &Coordinates) -> Vec<Option<usize>> {
        let rows = self.bytes() / self.row_bytes();
        let row = |mut row: usize| {
            self.row_at((1..self.rank()).map(|d| {
                let step = row % self.count(d) * self.steps[d] as usize;
                row /= self.count(d);
                coordinates.at[d] as i64 + step as i64
            }))
        };
        (0..rows).map(row).collect()
    }

    fn im2col_rows(&self, coordinates: &Coordinates) -> Vec<Option<usize>> {
        let spatial = self.rank() - 2;
        let mut at: Vec<i64> = coordinates.at[1..self.rank()]
            .iter()
            .map(|&c| c.into())
            .collect();
        let row = |_| {
            let row = self.row_at((0..=spatial).map(|i| match i < spatial {
                true => at[i] + coordinates.offsets[i] as i64,
                false => at[i],
            }));
            // The next position, row by row; behind the last of an image comes the next image.
            for (i, at) in at[..spatial].iter_mut().enumerate() {
                *at += self.steps[1 + i] as i64;
                if *at <= self.last(i) {
                    return row;
                }
                *at = self.lower[i] as i64;
            }
            at[spatial] += 1;
            row
        };
        (0..self.pixels).map(row).collect()
    }

    /// The elements of a tensor row, from `first` on, that are within the tensor.
    pub fn inside(&self, first: i64, elements: usize) -> impl Iterator<Item = (usize, usize)> {
        let end = self.dims[0] as i64;
        (0..elements)
            .map(move |i| (i, first + i as i64))
            .filter(move |(_, index)| (0..end).contains(index))
            .map(|(i, index)| (i, index as usize))
    }
}

fn fill<T>(to: &mut [T], from: impl Iterator<Item = T>) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = from);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swizzle_permutes_the_chunks_of_a_row() {
        assert_eq!(swizzled(0, 128), 0);
        assert_eq!(swizzled(3 * 128 + 5 * 16, 128), 3 * 128 + (5 ^ 3) * 16);
        assert_eq!(swizzled(3 * 128 + 16, 32), 3 * 128);
        assert_eq!(swizzled(7 * 128 + 16, 16), 7 * 128 + 16);
    }
}
