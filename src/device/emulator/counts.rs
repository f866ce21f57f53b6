//! What a launch moves and computes, counted access by access: bytes as threads ask for them, sectors and
//! wavefronts as warps do (`lockstep` and `coalesce`), from one barrier of the block to the next. Where
//! lanes of a warp go different ways, what they do together is an approximation.
use super::{
    block::WARP,
    coalesce::{self, Access},
    lockstep::rounds,
    memory,
};
use crate::device::Work;
use std::{
    mem,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

/// One launch: what its kernel says that it costs, and what the emulator saw.
#[derive(Clone, Copy, Debug)]
pub struct Count {
    pub kernel: &'static str,
    pub claimed: Work,
    pub moved: Moved,
}

/// What went through memories and tensor cores.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moved {
    pub read: Traffic,
    pub written: Traffic,
    pub shared: Banks,
    /// Floating-point operations of the tensor cores, a multiply-add counting two.
    pub tensor_flops: u64,
}

/// Device memory, one way. There are no caches here.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    /// Bytes touched at all; of those read, the ones that the launch had not itself written.
    pub unique: u64,
    /// Bytes that threads asked for.
    pub requested: u64,
    /// Sectors of 32 bytes that instructions of warps asked for.
    pub sectors: u64,
}

/// Turns that shared memory took to serve the instructions of warps.
#[derive(Clone, Copy, Debug, Default)]
pub struct Banks {
    pub wavefronts: u64,
    /// How few it would have been without bank conflicts.
    pub fewest: u64,
}

/// The counts of a device's launches, in their order; clones are the same.
#[derive(Clone, Default)]
pub struct Counts(Arc<Mutex<Vec<Count>>>);

impl Counts {
    /// All since this was last called.
    pub fn take(&self) -> Vec<Count> {
        mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn add(&self, count: Count) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.push(count);
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Memory {
    Read,
    Written,
    Shared,
}

/// One access of one thread.
struct Step {
    /// The instruction.
    at: usize,
    address: usize,
    bytes: usize,
    memory: Memory,
}

impl Step {
    /// Where in the program: one instruction may read the one memory and write the other.
    fn place(&self) -> (usize, Memory) {
        (self.at, self.memory)
    }
}

/// An allocation that the launch was given.
struct Buffer {
    bytes: Range<usize>,
    touched: Vec<Touched>,
}

/// Whether a byte has been read before it was written, and whether it has been written.
#[derive(Clone, Copy, Default)]
struct Touched {
    read: bool,
    written: bool,
}

/// The widest access of one instruction; what is wider is several.
const ACCESS_BYTES_MAX: usize = 16;

const SECTOR_BYTES: usize = 32;

#[derive(Default)]
pub(super) struct Counter {
    pub on: bool,
    moved: Moved,
    buffers: Vec<Buffer>,
    /// By thread: what it did since the block's threads last met.
    steps: Vec<Vec<Step>>,
}

impl Counter {
    pub fn begin(&mut self, on: bool, params: &[u8]) {
        self.on = on;
        if on {
            let mut regions = Vec::new();
            memory::regions(params, &mut regions);
            let passed = regions.into_iter().filter(|region| region.is_passed);
            let buffer = |bytes: Range<usize>| Buffer {
                touched: vec![Touched::default(); bytes.len()],
                bytes,
            };
            self.moved = Moved::default();
            self.buffers = passed.map(|region| buffer(region.bytes)).collect();
        }
    }

    /// What the launch has moved.
    pub fn end(&mut self) -> Moved {
        self.buffers.clear();
        mem::take(&mut self.moved)
    }

    /// `thread` reads or writes shared memory.
    #[inline]
    pub fn shared(&mut self, thread: u32, address: usize, bytes: usize, at: usize) {
        if self.on {
            self.step(thread, address, bytes, Memory::Shared, at);
        }
    }

    /// `thread` reads or writes device memory; what is none (its stack, its parameters) does not count.
    #[inline]
    pub fn global(&mut self, thread: u32, address: usize, bytes: usize, writes: bool, at: usize) {
        if self.on && self.touch(address, bytes, writes) {
            let memory = if writes {
                Memory::Written
            } else {
                Memory::Read
            };
            self.step(thread, address, bytes, memory, at);
        }
    }

    /// The copy engine reads or writes bytes of device memory that follow each other.
    pub fn bulk(&mut self, address: usize, bytes: usize, writes: bool) {
        if !self.on || !self.touch(address, bytes, writes) {
            return;
        }
        let traffic = match writes {
            true => &mut self.moved.written,
            false => &mut self.moved.read,
        };
        traffic.requested += bytes as u64;
        let sectors = address / SECTOR_BYTES..(address + bytes).div_ceil(SECTOR_BYTES);
        traffic.sectors += sectors.len() as u64;
    }

    pub fn tensor_flops(&mut self, flops: u64) {
        self.moved.tensor_flops += flops;
    }

    /// Counts the bytes that are touched for the first time; false where they are no device memory.
    fn touch(&mut self, address: usize, bytes: usize, writes: bool) -> bool {
        let inside = |buffer: &&mut Buffer| buffer.bytes.contains(&address);
        let Some(buffer) = self.buffers.iter_mut().find(inside) else {
            return false;
        };
        let start = address - buffer.bytes.start;
        for byte in &mut buffer.touched[start..start + bytes] {
            if writes && !byte.written {
                byte.written = true;
                self.moved.written.unique += 1;
            } else if !writes && !byte.read && !byte.written {
                byte.read = true;
                self.moved.read.unique += 1;
            }
        }
        true
    }

    fn step(&mut self, thread: u32, address: usize, bytes: usize, memory: Memory, at: usize) {
        let thread = thread as usize;
        if self.steps.len() <= thread {
            self.steps.resize_with(thread + 1, Vec::new);
        }
        let end = address + bytes;
        let pieces = (address..end).step_by(ACCESS_BYTES_MAX);
        self.steps[thread].extend(pieces.map(|address| Step {
            at,
            address,
            bytes: ACCESS_BYTES_MAX.min(end - address),
            memory,
        }));
    }

    /// The block's threads meet, or are done: puts their accesses together, warp by warp.
    pub fn settle(&mut self) {
        if !self.on {
            return;
        }
        let mut steps = mem::take(&mut self.steps);
        for lanes in steps.chunks_mut(WARP as usize) {
            self.settle_warp(lanes);
        }
        self.steps = steps;
    }

    fn settle_warp(&mut self, lanes: &mut [Vec<Step>]) {
        let places: Vec<Vec<_>> = lanes
            .iter()
            .map(|steps| steps.iter().map(Step::place).collect())
            .collect();
        let mut accesses = Vec::new();
        for ((lane, steps), rounds) in lanes.iter_mut().enumerate().zip(rounds(&places)) {
            accesses.extend(steps.drain(..).zip(rounds).map(|(step, round)| {
                let access = Access {
                    lane: lane as u32,
                    address: step.address,
                    bytes: step.bytes,
                };
                (step.place(), round, access)
            }));
        }
        accesses.sort_by_key(|&(place, round, _)| (place, round));
        let mut together = Vec::new();
        for group in accesses.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            together.clear();
            together.extend(group.iter().map(|&(.., access)| access));
            let ((_, memory), ..) = group[0];
            self.count(memory, &together);
        }
    }

    /// One instruction of a warp.
    fn count(&mut self, memory: Memory, accesses: &[Access]) {
        let traffic = match memory {
            Memory::Read => &mut self.moved.read,
            Memory::Written => &mut self.moved.written,
            Memory::Shared => {
                let (wavefronts, fewest) = coalesce::wavefronts(accesses);
                self.moved.shared.wavefronts += wavefronts;
                self.moved.shared.fewest += fewest;
                return;
            }
        };
        traffic.requested += accesses.iter().map(|a| a.bytes as u64).sum::<u64>();
        traffic.sectors += coalesce::sectors(accesses);
    }
}
