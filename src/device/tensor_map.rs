//! How the copy engine of compute capability 9.0 sees a tensor in device memory: CUDA's tensor map (driver
//! API, "Tensor Map Object Management"), before a driver encodes it. Everything is innermost first.
use super::{Ptr, Real};
use smallvec::SmallVec;

/// The 128 bytes a kernel is given.
pub type Encoded = [u64; 16];

/// How those are aligned among a kernel's parameters.
pub(super) const ALIGN: usize = 64;

#[derive(Clone, PartialEq, Debug)]
pub struct TensorMap {
    /// 16-byte aligned.
    pub at: Ptr,
    pub real: Real,
    /// One to five sizes.
    pub dims: SmallVec<[u64; 5]>,
    /// Bytes from one index to the next, of every dimension but the innermost: multiples of 16.
    pub strides: SmallVec<[u64; 4]>,
    /// What one copy covers.
    pub window: Window,
    /// The elements skipped between two that are copied, and one: 1 where none are.
    pub steps: SmallVec<[u32; 5]>,
    pub swizzle: Swizzle,
}

/// What one copy instruction moves, relative to the coordinates it is given.
#[derive(Clone, PartialEq, Debug)]
pub enum Window {
    /// A box of these sizes.
    Tiled(SmallVec<[u32; 5]>),
    /// For a convolution: `channels` of each of `pixels` pixels, which are walked row by row and image by
    /// image between two corners. `lower` is the first position of (w, h, d), `upper` how far the last one
    /// is from the end.
    Im2col {
        lower: SmallVec<[i32; 3]>,
        upper: SmallVec<[i32; 3]>,
        channels: u32,
        pixels: u32,
    },
}

impl TensorMap {
    /// Bytes from its first element to its last, both included.
    pub fn bytes(&self) -> u64 {
        let row = self.dims[0] * self.real.bytes();
        let beyond = self.dims[1..].iter().zip(&self.strides);
        beyond.fold(row, |bytes, (dim, stride)| bytes + (dim - 1) * stride)
    }

    /// What the driver would refuse without a word why, and what we do not use for want of certainty: a
    /// swizzle wider than the rows it permutes.
    pub(crate) fn check(&self) -> Result<(), String> {
        let rank = self.dims.len();
        let at_most = |what: &str, values: &[u64], max: u64| {
            let wrong = values.iter().position(|v| !(1..=max).contains(v));
            wrong.map_or(Ok(()), |i| {
                Err(format!("{what}[{i}] is {}: 1 to {max}", values[i]))
            })
        };
        let wide = |values: &[u32]| values.iter().map(|&v| v.into()).collect::<Vec<u64>>();
        if !(1..=5).contains(&rank) || self.strides.len() + 1 != rank || self.steps.len() != rank {
            let (strides, steps) = (self.strides.len(), self.steps.len());
            return Err(format!(
                "{rank} dims, {strides} strides, {steps} steps: 1 to 5, one less, as many"
            ));
        }
        if !self.at.0.is_multiple_of(16) {
            return Err(format!("at {:#x}: not aligned to 16 bytes", self.at.0));
        }
        at_most("dims", &self.dims, 1 << 32)?;
        at_most("steps", &wide(&self.steps), 8)?;
        at_most("strides", &self.strides, (1 << 40) - 1)?;
        if let Some(i) = self.strides.iter().position(|stride| stride % 16 != 0) {
            return Err(format!(
                "strides[{i}] is {} bytes: not a multiple of 16",
                self.strides[i]
            ));
        }
        match &self.window {
            Window::Tiled(sizes) if sizes.len() != rank => {
                Err(format!("a window of {} sizes for {rank} dims", sizes.len()))
            }
            Window::Tiled(sizes) => {
                at_most("window", &wide(sizes), 256)?;
                self.check_row(sizes[0])
            }
            Window::Im2col {
                lower,
                upper,
                channels,
                pixels,
            } => {
                self.check_corners(lower, upper)?;
                at_most("channels", &[u64::from(*channels)], 256)?;
                at_most("pixels", &[u64::from(*pixels)], 1024)?;
                self.check_row(*channels)
            }
        }
    }

    /// A row of the tile in shared memory.
    fn check_row(&self, elements: u32) -> Result<(), String> {
        let bytes = u64::from(elements) * self.real.bytes();
        let span = match self.swizzle {
            Swizzle::None if !bytes.is_multiple_of(16) => {
                return Err(format!(
                    "window: rows of {bytes} bytes: not a multiple of 16"
                ));
            }
            Swizzle::None => bytes,
            Swizzle::Bytes32 => 32,
            Swizzle::Bytes64 => 64,
            Swizzle::Bytes128 => 128,
        };
        match bytes == span {
            true => Ok(()),
            false => Err(format!("swizzle: over {span} bytes, for rows of {bytes}")),
        }
    }

    fn check_corners(&self, lower: &[i32], upper: &[i32]) -> Result<(), String> {
        let rank = self.dims.len();
        if !(3..=5).contains(&rank) || lower.len() + 2 != rank || upper.len() + 2 != rank {
            let (lower, upper) = (lower.len(), upper.len());
            return Err(format!(
                "{rank} dims, {lower} lower, {upper} upper corners: 3 to 5, two less"
            ));
        }
        let limit = [1 << 15, 1 << 7, 1 << 4][rank - 3];
        for (name, corners) in [("lower", lower), ("upper", upper)] {
            if let Some(i) = corners.iter().position(|c| !(-limit..limit).contains(c)) {
                let (corner, last) = (corners[i], limit - 1);
                return Err(format!(
                    "{name}[{i}] is {corner}: -{limit} to {last} for {rank} dims"
                ));
            }
        }
        for (i, (lower, upper)) in lower.iter().zip(upper).enumerate() {
            if self.dims[1 + i] as i64 - 1 + i64::from(*upper) < i64::from(*lower) {
                return Err(format!(
                    "lower[{i}] is {lower}, upper[{i}] {upper}: no position between"
                ));
            }
        }
        Ok(())
    }
}

/// How 16-byte chunks are permuted in shared memory, so that columns meet different banks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Swizzle {
    None,
    Bytes32,
    Bytes64,
    Bytes128,
}

#[cfg(test)]
mod tests {
    use super::*;
    use smallvec::smallvec;

    fn rows() -> TensorMap {
        TensorMap {
            at: Ptr(4096),
            real: Real::Bf16,
            dims: smallvec![100, 30],
            strides: smallvec![208],
            window: Window::Tiled(smallvec![64, 8]),
            steps: smallvec![1, 1],
            swizzle: Swizzle::Bytes128,
        }
    }
    fn images() -> TensorMap {
        TensorMap {
            dims: smallvec![64, 14, 14, 3],
            strides: smallvec![128, 1792, 25088],
            window: Window::Im2col {
                lower: smallvec![-1, -1],
                upper: smallvec![-1, -1],
                channels: 64,
                pixels: 128,
            },
            steps: smallvec![1, 2, 2, 1],
            ..rows()
        }
    }

    #[test]
    fn a_good_map_passes() {
        assert_eq!((rows().check(), images().check()), (Ok(()), Ok(())));
        assert_eq!(
            (rows().bytes(), images().bytes()),
            (29 * 208 + 200, 3 * 25088)
        );
    }

    #[test]
    fn a_bad_map_is_refused_by_its_field() {
        type Change = fn(&mut TensorMap);
        let changes: [(&str, TensorMap, Change); 11] = [
            ("at 0x1008", rows(), |m| m.at = Ptr(4104)),
            ("dims[1] is 0", rows(), |m| m.dims[1] = 0),
            ("1 strides", rows(), |m| m.dims.push(1)),
            ("strides[0] is 200", rows(), |m| m.strides[0] = 200),
            ("steps[1] is 9", rows(), |m| m.steps[1] = 9),
            ("window[1] is 257", rows(), |m| {
                m.window = Window::Tiled(smallvec![64, 257])
            }),
            ("swizzle: over 64", rows(), |m| m.swizzle = Swizzle::Bytes64),
            ("rows of 8 bytes", rows(), |m| {
                m.swizzle = Swizzle::None;
                m.window = Window::Tiled(smallvec![4, 8]);
            }),
            ("lower[1] is -129", images(), |m| {
                corners(m, [-1, -129], [-1, -1])
            }),
            ("upper[0] is 128", images(), |m| {
                corners(m, [-1, -1], [128, -1])
            }),
            ("no position", images(), |m| corners(m, [5, 0], [-9, 0])),
        ];
        for (words, mut map, change) in changes {
            change(&mut map);
            let why = map.check().expect_err(words);
            assert!(why.contains(words), "no `{words}` in: {why}");
        }
    }

    fn corners(map: &mut TensorMap, lower: [i32; 2], upper: [i32; 2]) {
        map.window = Window::Im2col {
            lower: SmallVec::from_slice(&lower),
            upper: SmallVec::from_slice(&upper),
            channels: 64,
            pixels: 128,
        };
    }
}
