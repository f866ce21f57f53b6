//! The kernels as the GPU takes them, embedded by `build.rs`: a cubin for each architecture and number
//! type, and PTX for GPUs newer than those.
use super::Real;

/// One `.cu` file compiled for one target.
#[derive(Clone, Copy)]
pub struct Image {
    /// The `.cu` file without suffix.
    pub file: &'static str,
    /// `sm_80`, `sm_90a`, or `compute_80` (PTX).
    pub target: &'static str,
    pub real: Real,
    pub bytes: &'static [u8],
}

/// What ptxas says a kernel uses.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pub kernel: &'static str,
    pub target: &'static str,
    pub real: Real,
    pub registers: u32,
    /// Bytes spilled to local memory: stores and loads.
    pub spill_stores: u32,
    pub spill_loads: u32,
    /// Static shared memory, bytes.
    pub shared: u32,
}

include!(concat!(env!("OUT_DIR"), "/images.rs"));
