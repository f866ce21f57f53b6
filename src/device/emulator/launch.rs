//! One launch: its blocks, in an order drawn from the seed, on one worker or several.
use super::{
    access,
    counts::Moved,
    fault::{self, HandlerStack},
    memory,
    schedule::BlockOrder,
    shared::SHARED_BYTES_MAX,
    watchdog,
    worker::{Failure, Index, Launch, Worker},
};
use crate::device::{Entry, Grid};
use std::{
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

/// How a launch is run; the same options give the same schedule.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub seed: u64,
    /// Threads of the host. With more than one, float atomics of different blocks take no fixed order.
    pub workers: usize,
    /// How long (of CPU time) a thread may run without coming to a barrier or to its end.
    pub patience: Duration,
    /// Whether every access is checked for bounds and races, which takes two to eight times as long.
    pub check: bool,
    /// The compute capability, times ten, of the GPU it stands for: 80 or 90. Each has kernels of its own.
    pub compute: u32,
}

impl Options {
    /// Whether the kernels were built so that `check` has any effect: by g++, and not plainly.
    pub fn can_check() -> bool {
        access::is_built_in()
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            seed: 0,
            workers: 1,
            patience: Duration::from_secs(20),
            check: true,
            compute: 80,
        }
    }
}

/// CUDA's limit on the bytes of a kernel's parameters.
const PARAMS_BYTES_MAX: usize = 4096;

/// Aligned as strictly as any type that a kernel can take.
#[repr(align(128))]
struct Params([u8; PARAMS_BYTES_MAX]);

/// Idle workers, kept for their fibers.
#[allow(clippy::vec_box)] // its fibers hold its address
static WORKERS: Mutex<Vec<Box<Worker>>> = Mutex::new(Vec::new());

/// Runs `entry` over `grid`, and says what that moved if it is to `count`. The error says in which block
/// and thread, with which seed, and why.
pub(super) fn run(
    entry: Entry,
    grid: &Grid,
    params: &[u8],
    options: &Options,
    count: bool,
) -> Result<Moved, String> {
    check_limits(grid, params)?;
    fault::install();
    let mut copy = Params([0; PARAMS_BYTES_MAX]);
    copy.0[..params.len()].copy_from_slice(params);
    let launch = Launch {
        entry,
        params: copy.0.as_ptr(),
        params_bytes: params.len(),
        blocks: Index::from(grid.blocks),
        threads: Index::from(grid.threads),
        shared_bytes: grid.shared_bytes as usize,
        seed: options.seed,
        check: options.check,
        count,
        patience: if options.workers > 1 {
            options.patience
        } else {
            Duration::ZERO
        },
    };
    let seed = options.seed;
    let moved =
        run_blocks(&launch, options).map_err(|(block, Failure { thread, why })| match thread {
            Some(thread) => format!("block {block}, thread {thread}, seed {seed}: {why}"),
            None => format!("block {block}, seed {seed}: {why}"),
        })?;
    memory::check(params).map_err(|why| format!("seed {seed}: device memory {why}"))?;
    Ok(moved)
}

/// What a device would refuse.
fn check_limits(grid: &Grid, params: &[u8]) -> Result<(), String> {
    let threads: u64 = grid.threads.iter().map(|&n| n as u64).product();
    if !(1..=1024).contains(&threads) || grid.threads[2] > 64 {
        return Err(format!(
            "a block of {:?} threads: 1 to 1024, at most 64 deep",
            grid.threads
        ));
    }
    if grid.blocks.contains(&0) || grid.blocks[1..].iter().any(|&n| n > 65535) {
        return Err(format!(
            "a grid of {:?} blocks: 1 to 65535 along y and z",
            grid.blocks
        ));
    }
    if grid.shared_bytes as usize > SHARED_BYTES_MAX {
        return Err(format!(
            "{} bytes of shared memory: a block has 227 KiB",
            grid.shared_bytes
        ));
    }
    if params.len() > PARAMS_BYTES_MAX {
        return Err(format!(
            "{} bytes of parameters: a kernel takes 4096",
            params.len()
        ));
    }
    Ok(())
}

/// What was moved, or the first failure, with its block.
fn run_blocks(launch: &Launch, options: &Options) -> Result<Moved, (Index, Failure)> {
    let Index { x, y, z } = launch.blocks;
    let count = x as u64 * y as u64 * z as u64;
    let order = BlockOrder::draw(options.seed, count);
    let next = AtomicU64::new(0);
    let failed = Mutex::new(None);
    let work = || {
        with_worker(launch, options.patience, |worker| {
            loop {
                let i = next.fetch_add(1, Relaxed);
                if i >= count {
                    return;
                }
                let block = order.at(i);
                // SAFETY: `with_worker` has made the worker this thread's, and begun the launch.
                if let Err(failure) = unsafe { Worker::run_block(worker, launch, block) } {
                    next.store(count, Relaxed);
                    let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                    failed.get_or_insert((launch.block_index(block), failure));
                    return;
                }
            }
        })
    };
    let moved = match options.workers.min(count as usize) {
        0 | 1 => work(),
        workers => {
            thread::scope(|scope| (0..workers).for_each(|_| drop(scope.spawn(work))));
            Moved::default() // whoever counts has one worker
        }
    };
    failed
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
        .map_or(Ok(moved), Err)
}

fn with_worker(launch: &Launch, patience: Duration, work: impl FnOnce(*mut Worker)) -> Moved {
    let idle = WORKERS.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let mut worker = idle.unwrap_or_else(Worker::new);
    let signals = HandlerStack::new();
    let watched = watchdog::Guard::new(&worker.watch, patience);
    worker.begin(launch);
    work(&mut *worker);
    let moved = worker.end();
    drop((watched, signals));
    WORKERS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(worker);
    moved
}

impl From<[u32; 3]> for Index {
    fn from([x, y, z]: [u32; 3]) -> Index {
        Index { x, y, z }
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "({},{},{})", self.x, self.y, self.z)
    }
}
