//! The emulator: the very `.cu` files of kernels/, compiled by the host's C++ compiler (see
//! kernels/emulated.cuh and build/host.rs), on a machine without a GPU. Not for speed: for proof.
//!
//! Every CUDA thread is a fiber, made only when the thread has to wait, so that a kernel without
//! barriers is a plain loop. Which thread runs next is drawn from a seed; memory is NaN where nobody
//! has written and has guards at its ends; whatever goes wrong is an error that names the block, the
//! thread, the line and the seed that brings it back.
//!
//! By default every load and store is checked as well (`access`): device memory for its exact bounds,
//! shared memory for its arrays' and for races, which `race` and `clocks` find whatever the schedule.
//! `SELFSAME_EMULATOR=plain`, when building, leaves that out. The same calls let `counts` say what a
//! launch moves, in bytes, sectors and bank conflicts.
//!
//! What the copy engine and the tensor cores do beside the threads (`copy_engine`, `wgmma`) is `flight`'s:
//! it happens at a moment of the schedule's choosing, `mbarrier`, `bulk` and `warpgroup` are how threads
//! wait for it.
//!
//! `launch` runs blocks on workers; a `worker` switches between fibers as its `block` says; `block`,
//! `barrier` and `warp` know who waits for whom and never switch; `hooks` is what kernels call, with
//! `copies` (asynchronous ones) and `matrix` (tensor cores) for the verbs of kernels/ptx.cuh.
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
compile_error!("feature `emulator` handles signals of x86-64 Linux only");

mod access;
mod barrier;
mod block;
mod bulk;
mod clocks;
mod coalesce;
mod copies;
mod copy_engine;
mod counts;
mod fault;
mod fiber;
mod flight;
mod hooks;
mod launch;
mod lockstep;
mod matrix;
mod mbarrier;
mod memory;
mod moment;
mod operand;
mod planted;
mod planted_tensor;
mod race;
mod registers;
mod report;
mod schedule;
mod shared;
mod tensor_map;
mod warp;
mod warpgroup;
mod watchdog;
mod wgmma;
mod worker;

use super::{Arch, Driver, Encoded, Launch, Ptr, Real, TensorMap};
use crate::{Error, Result};
pub use counts::{Banks, Count, Counts, Moved, Traffic};
pub use launch::Options;
use std::{
    env, slice,
    str::FromStr,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// The driver: memory with guards, launches that are over when they return.
pub(super) struct Emulated {
    real: Real,
    options: Options,
    /// So that launches of the same kernel see different schedules.
    launches: AtomicU64,
    /// Where launches are counted, if they are.
    counts: Option<Counts>,
}

impl Emulated {
    /// Fresh seeds for each launch from `SELFSAME_SEED` on, `SELFSAME_EMULATOR_WORKERS` threads, and no
    /// checks with `SELFSAME_EMULATOR=plain`.
    pub fn new(real: Real, compute: u32) -> Emulated {
        let default = Options::default();
        Emulated::with(
            real,
            Options {
                seed: variable("SELFSAME_SEED").unwrap_or(default.seed),
                workers: variable("SELFSAME_EMULATOR_WORKERS").unwrap_or(default.workers),
                check: env::var("SELFSAME_EMULATOR").as_deref() != Ok("plain"),
                compute,
                ..default
            },
        )
    }

    pub fn with(real: Real, options: Options) -> Emulated {
        Emulated {
            real,
            options,
            launches: AtomicU64::new(0),
            counts: None,
        }
    }

    /// On one worker, and with every access checked: that is where they are counted.
    pub fn counted(real: Real, options: Options, counts: Counts) -> Emulated {
        let options = Options {
            workers: 1,
            check: true,
            ..options
        };
        Emulated {
            counts: Some(counts),
            ..Emulated::with(real, options)
        }
    }

    fn check_range(&self, what: &'static str, at: Ptr, bytes: usize) -> Result<()> {
        memory::check_range(at.0, bytes).map_err(|why| self.error(what, why))
    }

    fn error(&self, kernel: &'static str, why: String) -> Error {
        Error::Launch {
            kernel,
            device: self.name(),
            why,
        }
    }
}

fn variable<T: FromStr>(name: &str) -> Option<T> {
    env::var(name).ok()?.parse().ok()
}

impl Driver for Emulated {
    fn name(&self) -> String {
        "emulated".into()
    }
    /// As small as a GPU gets.
    fn arch(&self) -> Arch {
        Arch {
            compute: self.options.compute,
            multiprocessors: 1,
            real: self.real,
        }
    }

    fn alloc(&self, bytes: usize) -> Result<Ptr> {
        let used = memory::used();
        memory::alloc(bytes)
            .map(Ptr)
            .ok_or_else(|| Error::OutOfMemory {
                device: self.name(),
                wanted: bytes as u64,
                used,
            })
    }
    fn free(&self, ptr: Ptr, _: usize) {
        memory::free(ptr.0);
    }
    /// Freed memory is not handed out again: whoever still uses it is caught by the pages gone.
    fn pools(&self) -> bool {
        false
    }

    fn upload(&self, to: Ptr, from: &[u8]) -> Result<()> {
        self.check_range("upload", to, from.len())?;
        // SAFETY: the range has just been checked, and no kernel runs between calls.
        unsafe { slice::from_raw_parts_mut(to.0 as *mut u8, from.len()) }.copy_from_slice(from);
        Ok(())
    }
    fn download(&self, from: Ptr, to: &mut [u8]) -> Result<()> {
        self.check_range("download", from, to.len())?;
        // SAFETY: as in `upload`.
        to.copy_from_slice(unsafe { slice::from_raw_parts(from.0 as *const u8, to.len()) });
        Ok(())
    }

    /// The copy engine touches nothing outside the tensor, which has to be in one allocation.
    fn tensor_map(&self, map: &TensorMap) -> Result<Encoded> {
        self.check_range("tensor map", map.at, map.bytes() as usize)?;
        Ok(tensor_map::Descriptor::encode(map))
    }
    fn launch(&self, launch: &Launch) -> Result<()> {
        let kernel = launch.kernel.name;
        let [f32, bf16] = launch.kernel.emulated;
        let entry = match self.real {
            Real::F32 => f32,
            Real::Bf16 => bf16,
        };
        let Some(entry) = entry else {
            let why = format!("it was not compiled for the host and {}", self.real.name());
            return Err(self.error(kernel, why));
        };
        let seed = self
            .options
            .seed
            .wrapping_add(self.launches.fetch_add(1, Relaxed));
        let options = Options {
            seed,
            ..self.options
        };
        let count = self.counts.is_some();
        let moved = launch::run(entry, &launch.grid, launch.params, &options, count)
            .map_err(|why| self.error(kernel, why))?;
        if let Some(counts) = &self.counts {
            counts.add(Count {
                kernel,
                claimed: launch.work,
                moved,
            });
        }
        Ok(())
    }
    fn synchronize(&self) -> Result<()> {
        Ok(())
    }
}
