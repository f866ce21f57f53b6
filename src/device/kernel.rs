//! A kernel, as the host sees it: the struct of its parameters, which also knows its grid, what it
//! costs, and its definition in Rust.
use super::{host::Host, tensor_map::TensorMap};
use smallvec::SmallVec;

/// An address in device memory; 8 bytes on every device.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Ptr(pub u64);

impl Ptr {
    /// For an operand a kernel can do without.
    pub const NULL: Ptr = Ptr(0);
    pub fn is_null(self) -> bool {
        self.0 == 0
    }
    pub fn offset(self, bytes: usize) -> Ptr {
        Ptr(self.0 + bytes as u64)
    }
}

/// The number type of activations, and of the weights they meet; statistics, losses, master weights
/// and accumulators are f32 on every device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Real {
    F32,
    Bf16,
}

impl Real {
    pub fn bytes(self) -> u64 {
        match self {
            Real::F32 => 4,
            Real::Bf16 => 2,
        }
    }
    pub fn name(self) -> &'static str {
        match self {
            Real::F32 => "f32",
            Real::Bf16 => "bf16",
        }
    }
}

/// What tile sizes may depend on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arch {
    /// Compute capability times ten: 80, 90; 0 where no GPU is.
    pub compute: u32,
    pub multiprocessors: u32,
    pub real: Real,
}

/// The bytes of a parameter struct, laid out as C++ lays it out.
pub type Packed = SmallVec<[u8; 128]>;

/// One CUDA thread of a kernel compiled for the host, for the number types f32 and bf16.
pub type Entry = unsafe extern "C" fn(*const u8);

/// What the build knows of a kernel.
#[derive(Debug)]
pub struct KernelInfo {
    pub name: &'static str,
    /// The `.cu` file it stands in, without suffix: its op.
    pub file: &'static str,
    /// Its host builds for f32 and for bf16, with feature `emulator` and a C++ compiler, where it exists
    /// for that number type.
    pub emulated: [Option<Entry>; 2],
}

/// Implemented by `build.rs` for each parameter struct in `kernels/`.
pub trait Parameters: Copy + std::fmt::Debug + Send + Sync + 'static {
    /// The kernel that bears the struct's name.
    const INFO: &'static KernelInfo;
    fn pack(&self) -> Packed;
}

/// Implemented at the foot of each op: what a launch with these parameters means and costs.
pub trait Kernel: Parameters {
    /// Which of the kernels that take this struct: a pure function of shape and arch, as `grid` is, and of
    /// one mind with it.
    fn kernel(&self, _: Arch) -> &'static KernelInfo {
        Self::INFO
    }
    /// What that kernel reads and writes through the copy engine, in the order it declares them.
    fn maps(&self, _: Arch) -> Vec<TensorMap> {
        Vec::new()
    }
    /// Blocks and threads: a pure function of shape and arch, with reasons beside its constants.
    fn grid(&self, arch: Arch) -> Grid;
    /// Fewest bytes through device memory.
    fn bytes(&self, real: Real) -> u64;
    /// Floating-point operations, a multiply-add counting two; 0 where memory is all that matters.
    fn flops(&self) -> u64 {
        0
    }
    /// The definition, on slices: `real` is f32 here.
    fn on_cpu(&self, memory: &Host);
}

/// The parameter structs, translated from `kernels/*.cu`.
pub mod kernels {
    use super::{KernelInfo, Packed, Parameters, Ptr};
    include!(concat!(env!("OUT_DIR"), "/kernels.rs"));
}

/// Blocks of a launch and threads of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    pub blocks: [u32; 3],
    pub threads: [u32; 3],
    /// Dynamic shared memory of a block.
    pub shared_bytes: u32,
}

impl Grid {
    /// One thread an element, grid-stride: at most 32 blocks of 256 on each of 132 multiprocessors.
    pub fn elements(n: u64) -> Grid {
        Grid::blocks([n.div_ceil(256).min(32 * 132) as u32, 1, 1], [256, 1, 1])
    }
    /// One block of up to 256 threads (whole warps) for each of `rows` rows of `cols` elements.
    pub fn rows(rows: u32, cols: u32) -> Grid {
        Grid::blocks([rows, 1, 1], [cols.div_ceil(32).clamp(1, 8) * 32, 1, 1])
    }
    /// One block for each `tile_rows` x `tile_cols` tile of an (m, n) matrix.
    pub fn tiles(m: u32, n: u32, [tile_rows, tile_cols]: [u32; 2], threads: [u32; 3]) -> Grid {
        Grid::blocks([n.div_ceil(tile_cols), m.div_ceil(tile_rows), 1], threads)
    }
    pub fn blocks(blocks: [u32; 3], threads: [u32; 3]) -> Grid {
        assert!(
            threads.iter().product::<u32>() <= 1024,
            "a block has at most 1024 threads"
        );
        assert!(
            blocks[1] <= 65_535 && blocks[2] <= 65_535,
            "the grid's y and z end at 65,535"
        );
        Grid {
            blocks,
            threads,
            shared_bytes: 0,
        }
    }
    pub fn is_empty(&self) -> bool {
        self.blocks.contains(&0)
    }
    pub fn count(&self) -> u64 {
        self.blocks.iter().map(|&n| n as u64).product()
    }
}
