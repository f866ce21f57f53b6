//! A worker runs blocks, one after another, on the thread of the host it is on: it resumes fibers as
//! the block's schedule says, until every CUDA thread of the block has exited.
use super::{
    access::Checker,
    block::{Block, Next, State},
    copies::Copies,
    counts::{Counter, Moved},
    fault,
    fiber::{Fibers, Parent, Trap},
    report,
    shared::SharedMemory,
    watchdog::Watch,
};
use crate::device::Entry;
use std::{cell::Cell, ptr, sync::Arc, time::Duration};

/// CUDA's `uint3`.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Index {
    pub x: u32,
    pub y: u32,
    pub z: u32,
}

/// `blockIdx`, `blockDim` and `gridDim`: `EmulatedBlock` of emulated.cuh.
#[repr(C)]
#[derive(Default)]
pub(super) struct BlockView {
    pub index: Index,
    pub threads: Index,
    pub blocks: Index,
}

/// `threadIdx`: `EmulatedThread` of emulated.cuh.
#[repr(C)]
pub(super) struct ThreadView {
    pub index: Index,
    pub block: *const BlockView,
}

/// What all blocks of a launch have in common.
#[derive(Clone, Copy)]
pub(super) struct Launch {
    pub entry: Entry,
    pub params: *const u8,
    pub params_bytes: usize,
    pub blocks: Index,
    pub threads: Index,
    pub shared_bytes: usize,
    pub seed: u64,
    pub check: bool,
    pub count: bool,
    /// How long other workers may be waited for: not at all where there are none.
    pub patience: Duration,
}

// SAFETY: `params` are only read, and outlive the launch.
unsafe impl Sync for Launch {}

/// Why a block failed, and the thread that was running, where it was one thread's doing.
pub(super) struct Failure {
    pub thread: Option<Index>,
    pub why: String,
}

pub(super) struct Worker {
    pub block: Block,
    pub fibers: Fibers,
    pub shared: SharedMemory,
    pub checker: Checker,
    pub copies: Copies,
    pub counter: Counter,
    pub watch: Arc<Watch>,
    entry: Entry,
    params: *const u8,
    view: Box<BlockView>,
    views: Vec<ThreadView>,
    /// The kernels' own variable that says which thread is running.
    running: *mut *const ThreadView,
}

// SAFETY: a worker is used by one thread at a time, and its fibers keep nothing of a thread while parked.
unsafe impl Send for Worker {}

thread_local! { static WORKER: Cell<*mut Worker> = const { Cell::new(ptr::null_mut()) }; }

unsafe extern "C" {
    fn emulated_running_thread() -> *mut *const ThreadView;
}
extern "C" fn no_kernel(_: *const u8) {}

/// The worker whose fiber is running; null outside any launch.
#[inline(always)]
pub(super) fn current() -> *mut Worker {
    WORKER.with(Cell::get)
}

impl Worker {
    pub fn new() -> Box<Worker> {
        Box::new(Worker {
            block: Block::new(),
            fibers: Fibers::default(),
            shared: SharedMemory::new(),
            checker: Checker::default(),
            copies: Copies::default(),
            counter: Counter::default(),
            watch: Arc::default(),
            entry: no_kernel,
            params: ptr::null(),
            view: Box::default(),
            views: Vec::new(),
            running: ptr::null_mut(),
        })
    }

    /// Makes this the current thread's worker, ready for blocks of `launch`.
    pub fn begin(&mut self, launch: &Launch) {
        WORKER.with(|worker| worker.set(self));
        // SAFETY: returns the address of a thread-local of the host's current thread.
        self.running = unsafe { emulated_running_thread() };
        self.checker
            .begin(launch.check, launch.params, launch.params_bytes);
        self.block.clocks.on = self.checker.on;
        // SAFETY: the launch's own copy of its parameters.
        let params = unsafe { std::slice::from_raw_parts(launch.params, launch.params_bytes) };
        self.counter.begin(launch.count, params);
        self.entry = launch.entry;
        self.params = launch.params;
        self.view.threads = launch.threads;
        self.view.blocks = launch.blocks;
        let Index { x, y, z } = launch.threads;
        let block: *const BlockView = &*self.view;
        self.views.clear();
        self.views.extend((0..x * y * z).map(|i| ThreadView {
            index: Index {
                x: i % x,
                y: i / x % y,
                z: i / (x * y),
            },
            block,
        }));
    }

    /// What the launch has moved here, if it is counted.
    pub fn end(&mut self) -> Moved {
        WORKER.with(|worker| worker.set(ptr::null_mut()));
        self.counter.end()
    }

    /// Runs block number `number` of `launch`, counted with x fastest.
    ///
    /// # Safety
    /// `this` has begun `launch`, on this thread, and nothing else uses it.
    pub unsafe fn run_block(
        this: *mut Worker,
        launch: &Launch,
        number: u64,
    ) -> Result<(), Failure> {
        // SAFETY: the fibers use `this` as well, so no reference to it lives across a resume.
        unsafe {
            let worker = &mut *this;
            worker.view.index = launch.block_index(number);
            worker.block.begin(
                worker.views.len() as u32,
                launch.seed,
                number,
                launch.patience,
            );
            worker.shared.begin(launch.shared_bytes);
            worker.copies.begin(worker.views.len());
            let run = Worker::run_fibers(this).and_then(|()| {
                (*this)
                    .shared
                    .check()
                    .map_err(|why| Failure { thread: None, why })
            });
            if run.is_err() {
                (*this).fibers.abandon();
            }
            (*this).counter.settle();
            run
        }
    }

    /// # Safety
    /// As `run_block`.
    unsafe fn run_fibers(this: *mut Worker) -> Result<(), Failure> {
        // SAFETY: as in `run_block`.
        unsafe {
            loop {
                let worker = &mut *this;
                if let Some(why) = worker.block.failure.take() {
                    return Err(worker.blame_current(why));
                }
                let fiber = match worker.block.next() {
                    Next::StartThreads => worker
                        .fibers
                        .take(move |id, parent| fiber_main(this, id, parent)),
                    Next::Resume(thread) => {
                        worker.show(thread);
                        worker.block.resume(thread)
                    }
                    Next::Complete(operation) => {
                        let done = operation.complete(worker);
                        done.map_err(|(thread, why)| worker.blame(thread, why))?;
                        continue;
                    }
                    Next::Finish => return Ok(()),
                    Next::Deadlock => {
                        let why = report::deadlock(worker);
                        return Err(Failure { thread: None, why });
                    }
                };
                worker.watch.enter();
                let outcome = Fibers::resume(&raw mut (*this).fibers, fiber);
                (*this).watch.leave();
                if let Err(trap) = outcome {
                    let why = fault::describe(&*this, trap);
                    return Err((*this).blame_current(why));
                }
            }
        }
    }

    /// Tells the kernel's code which thread it is.
    #[inline(always)]
    fn show(&mut self, thread: u32) {
        let view = &self.views[thread as usize];
        // SAFETY: the thread-local of this very host thread, see `begin`.
        unsafe { *self.running = view };
    }

    fn blame_current(&self, why: String) -> Failure {
        self.blame(self.block.current, why)
    }

    fn blame(&self, thread: u32, why: String) -> Failure {
        Failure {
            thread: Some(self.views[thread as usize].index),
            why,
        }
    }
}

impl Launch {
    pub fn block_index(&self, number: u64) -> Index {
        let (x, y) = (self.blocks.x as u64, self.blocks.y as u64);
        Index {
            x: (number % x) as u32,
            y: (number / x % y) as u32,
            z: (number / (x * y)) as u32,
        }
    }
}

/// What every fiber does for ever: start threads, one after another, for as long as they exit without
/// having to wait; then park. A thread that waits keeps the fiber it is on.
///
/// # Safety
/// Runs on fiber `id` of `worker`.
unsafe fn fiber_main(worker: *mut Worker, id: u32, parent: &Parent) -> Trap {
    // SAFETY: single-threaded; no reference into `worker` lives across the kernel or a suspend.
    unsafe {
        (*worker).fibers.begin(id, parent);
        loop {
            while let Some(thread) = (*worker).block.start_one(id) {
                (*worker).show(thread);
                (*worker).watch.tick();
                let (entry, params) = ((*worker).entry, (*worker).params);
                entry(params);
                let left = (*worker).copies.check_exit(thread);
                if let Err(why) = left.and_then(|()| (*worker).block.exit()) {
                    fail(worker, why);
                }
                if !(*worker).block.runs_straight_on() {
                    break;
                }
            }
            (*worker).fibers.park(id);
            Fibers::suspend(&raw mut (*worker).fibers);
        }
    }
}

/// The current thread waits in `state` until another wakes it.
///
/// # Safety
/// On a fiber of `worker`; no reference into `worker` is alive.
#[inline(always)]
pub(super) unsafe fn wait(worker: *mut Worker, state: State) {
    // SAFETY: the caller's promise.
    unsafe {
        let fiber = (*worker).fibers.current;
        (*worker).block.wait(fiber, state);
        Fibers::suspend(&raw mut (*worker).fibers);
    }
}

/// Lets another thread run, if the schedule wants one to.
///
/// # Safety
/// As `wait`.
#[inline(always)]
pub(super) unsafe fn may_give_way(worker: *mut Worker) {
    // SAFETY: the caller's promise.
    unsafe {
        if (*worker).block.gives_way() {
            let fiber = (*worker).fibers.current;
            (*worker).block.give_way(fiber);
            Fibers::suspend(&raw mut (*worker).fibers);
        }
    }
}

/// The block has failed; its fibers are abandoned as soon as the worker hears of it.
///
/// # Safety
/// As `wait`.
#[cold]
pub(super) unsafe fn fail(worker: *mut Worker, why: String) -> ! {
    // SAFETY: the caller's promise.
    unsafe {
        (*worker).block.failure.get_or_insert(why);
        loop {
            Fibers::suspend(&raw mut (*worker).fibers);
        }
    }
}
