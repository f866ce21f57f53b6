//! Batches made ahead of their use, by several threads, delivered in order.
//!
//! One pool of threads works on the images of a batch; two producers hand it their batches in turn,
//! so that it is not idle while the last image of one is decoded. Nothing depends on who does what.
use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use rayon::ThreadPool;

use crate::{Error, Result};

const PRODUCERS: u64 = 2;
/// Between two looks at whether a value is still wanted.
const PATIENCE: Duration = Duration::from_millis(100);
/// No image takes as long to decode.
const LEFT_BEHIND: Duration = Duration::from_secs(5);

/// The values of `make(number)` for a range of numbers. Dropping it stops and joins all its
/// threads.
pub(super) struct Ordered<T> {
    range: Range<u64>,
    receivers: Vec<Receiver<T>>,
    producers: Vec<Option<JoinHandle<()>>>,
    /// Dropped after the producers are joined.
    _pool: Pool,
    stop: Stop,
}

/// Says that nobody waits for the result any more; what is then returned is thrown away.
#[derive(Clone, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl<T: Send + 'static> Ordered<T> {
    /// `make` runs inside a pool of `workers` threads, for its parallel iterators, and should
    /// return early when `Stop` asks. At most about `depth` values wait to be taken.
    pub fn start(
        range: Range<u64>,
        workers: usize,
        depth: usize,
        make: impl Fn(u64, &Stop) -> T + Send + Sync + 'static,
    ) -> Result<Ordered<T>> {
        let pool = Pool::new(workers)?;
        let (make, stop) = (Arc::new(make), Stop::default());
        let mut receivers = Vec::new();
        let mut producers = Vec::new();
        for first in 0..PRODUCERS {
            let (sender, receiver) = bounded(depth.div_ceil(PRODUCERS as usize));
            let numbers = range.clone().skip(first as usize);
            let numbers = numbers.step_by(PRODUCERS as usize);
            let (make, stop, threads) = (make.clone(), stop.clone(), pool.shared());
            let produce = move || produce(numbers, &threads, &stop, &sender, &*make);
            let thread = std::thread::Builder::new().name(format!("batches-{first}"));
            let thread = thread.spawn(produce).map_err(no_thread)?;
            producers.push(Some(thread));
            receivers.push(receiver);
        }
        Ok(Ordered {
            range,
            receivers,
            producers,
            _pool: pool,
            stop,
        })
    }
}

fn produce<T: Send>(
    numbers: impl Iterator<Item = u64>,
    pool: &ThreadPool,
    stop: &Stop,
    sender: &Sender<T>,
    make: &(impl Fn(u64, &Stop) -> T + Sync),
) {
    for number in numbers {
        let made = pool.install(|| make(number, stop));
        if stop.requested() || sender.send(made).is_err() {
            return;
        }
    }
}

fn no_thread(why: std::io::Error) -> Error {
    Error::Environment(format!(
        "cannot start a loader thread: {why}; raise `ulimit -u` or use fewer --workers"
    ))
}

impl<T> Ordered<T> {
    /// The next value; `None` after the last, and where `asked` says before it comes that nobody waits
    /// for it any more.
    pub fn next_unless(&mut self, asked: &dyn Fn() -> bool) -> Option<T> {
        if self.range.is_empty() {
            return None;
        }
        let made = loop {
            match self.receivers[0].recv_timeout(PATIENCE) {
                Err(RecvTimeoutError::Timeout) if asked() => return None,
                Err(RecvTimeoutError::Timeout) => (),
                made => break made,
            }
        };
        self.range.next();
        if made.is_err() {
            let thread = self.producers[0].take().expect("it ends but once");
            let panic = thread.join().expect_err("a producer makes its whole range");
            resume_unwind(panic);
        }
        self.receivers.rotate_left(1);
        self.producers.rotate_left(1);
        made.ok()
    }
}

impl<T> Iterator for Ordered<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.next_unless(&|| false)
    }
}

impl<T> Drop for Ordered<T> {
    fn drop(&mut self) {
        self.stop.0.store(true, Ordering::Relaxed);
        self.receivers.clear();
        join(self.producers.drain(..).flatten()); // a panic here was about a batch nobody wants
    }
}

/// Waits for threads that were asked to end. One that reads from a disk that does not answer is left behind,
/// so that a run can be saved and end.
fn join(threads: impl Iterator<Item = JoinHandle<()>>) {
    let asked = Instant::now();
    for thread in threads {
        while !thread.is_finished() && asked.elapsed() < LEFT_BEHIND {
            sleep(Duration::from_millis(1));
        }
        if thread.is_finished() {
            let _ = thread.join();
        }
    }
}

/// A pool of its own, whose threads are gone when it is.
pub(super) struct Pool {
    /// Taken when the pool ends: its threads leave only then.
    threads: Option<Arc<ThreadPool>>,
    handles: Vec<JoinHandle<()>>,
}

impl Pool {
    pub fn new(workers: usize) -> Result<Pool> {
        let mut handles = Vec::new();
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads(workers.max(1))
            .spawn_handler(|thread| {
                let name = format!("decode-{}", thread.index());
                let named = std::thread::Builder::new().name(name);
                handles.push(named.spawn(|| thread.run())?);
                Ok(())
            })
            .build()
            .map_err(|why| no_thread(std::io::Error::other(why)))?;
        Ok(Pool {
            threads: Some(Arc::new(threads)),
            handles,
        })
    }

    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.shared().install(work)
    }

    fn shared(&self) -> Arc<ThreadPool> {
        self.threads.clone().expect("it is taken only by drop")
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        drop(self.threads.take());
        join(self.handles.drain(..));
    }
}
