//! The emulator: the very `.cu` files of kernels/, compiled by the host's C++ compiler (see
//! kernels/emulated.cuh and build/host.rs), on a machine without a GPU. Not for speed: for proof.
//!
//! Every CUDA thread is a fiber, made only when the thread has to wait, so that a kernel without
//! barriers is a plain loop. Which thread runs next is drawn from a seed; memory is NaN where nobody
//! has written and has guards at its ends; whatever goes wrong is an error that names the block, the
//! thread, the line and the seed that brings it back.
//!
//! `launch` runs blocks on workers; a `worker` switches between fibers as its `block` says; `block`,
//! `barrier` and `warp` know who waits for whom and never switch; `hooks` is what kernels call.
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
compile_error!("feature `emulator` handles signals of x86-64 Linux only");

mod barrier;
mod block;
mod fault;
mod fiber;
mod hooks;
mod launch;
mod memory;
mod report;
mod schedule;
mod shared;
mod warp;
mod watchdog;
mod worker;

pub use launch::Options;
pub(crate) use launch::run;

/// A kernel as compiled for the host: runs it once, for the current thread, with these parameters.
pub(crate) type Entry = unsafe extern "C" fn(*const u8);
