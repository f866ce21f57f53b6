//! How the copy engine of compute capability 9.0 sees a tensor in device memory: CUDA's tensor map (driver
//! API, "Tensor Map Object Management"), before a driver encodes it. Everything is innermost first.
use super::{Ptr, Real};
use smallvec::SmallVec;

/// The 128 bytes a kernel is given.
pub type Encoded = [u64; 16];

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

/// How 16-byte chunks are permuted in shared memory, so that columns meet different banks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Swizzle {
    None,
    Bytes32,
    Bytes64,
    Bytes128,
}
