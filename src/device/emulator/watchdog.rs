//! The watchdog: a thread of its own that stops a kernel's thread which has run too long without
//! coming to a place where it could have been switched away from.
use super::fault::STOP;
use libc::{
    clock_gettime, clockid_t, pthread_getcpuclockid, pthread_kill, pthread_self, pthread_t,
    timespec,
};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, Once, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

/// A worker's sign of life.
#[derive(Default)]
pub(super) struct Watch {
    progress: AtomicU64,
    inside: AtomicBool,
}

impl Watch {
    /// The worker's own fiber starts to run.
    #[inline(always)]
    pub fn enter(&self) {
        self.tick();
        self.inside.store(true, Relaxed);
    }

    #[inline(always)]
    pub fn leave(&self) {
        self.inside.store(false, Relaxed);
    }

    pub fn is_inside(&self) -> bool {
        self.inside.load(Relaxed)
    }

    /// Only the worker writes, so that no read-modify-write is needed.
    #[inline(always)]
    pub fn tick(&self) {
        self.progress
            .store(self.progress.load(Relaxed) + 1, Relaxed);
    }
}

struct Watched {
    watch: Arc<Watch>,
    thread: pthread_t,
    patience: Duration,
    progress: u64,
    /// What the thread had used of a CPU when it was last seen to get somewhere. Not wall-clock time: on
    /// a busy machine a thread may get nowhere because it does not run.
    since: Duration,
}

/// # Safety
/// `thread` has not ended.
unsafe fn cpu_time(thread: pthread_t) -> Duration {
    let (mut clock, mut time) = (
        clockid_t::default(),
        timespec {
            tv_sec: 0,
            tv_nsec: 0,
        },
    );
    // SAFETY: the caller's promise; both are plain numbers, which the calls fill in.
    unsafe {
        pthread_getcpuclockid(thread, &mut clock);
        clock_gettime(clock, &mut time);
    }
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

static WATCHED: Mutex<Vec<Watched>> = Mutex::new(Vec::new());

fn watched() -> MutexGuard<'static, Vec<Watched>> {
    WATCHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// While this lives, the current thread is watched.
pub(super) struct Guard(Arc<Watch>);

impl Guard {
    pub fn new(watch: &Arc<Watch>, patience: Duration) -> Guard {
        static STARTED: Once = Once::new();
        STARTED.call_once(|| drop(thread::spawn(run)));
        watched().push(Watched {
            watch: watch.clone(),
            // SAFETY: has no conditions.
            thread: unsafe { pthread_self() },
            patience,
            progress: 0,
            since: Duration::MAX,
        });
        Guard(watch.clone())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        watched().retain(|other| !Arc::ptr_eq(&other.watch, &self.0));
    }
}

fn run() {
    loop {
        let shortest = watched().iter().map(|w| w.patience).min();
        // Without work, one look in a while is enough: patience is far longer.
        thread::sleep(shortest.map_or(Duration::from_millis(50), |patience| patience / 8));
        for watched in watched().iter_mut() {
            look_at(watched);
        }
    }
}

fn look_at(watched: &mut Watched) {
    let progress = watched.watch.progress.load(Relaxed);
    // SAFETY: the thread cannot end while it is listed, and the list is locked.
    let now = unsafe { cpu_time(watched.thread) };
    if progress != watched.progress || !watched.watch.is_inside() {
        watched.progress = progress;
        watched.since = now;
    } else if now.saturating_sub(watched.since) > watched.patience {
        // SAFETY: as above.
        unsafe { pthread_kill(watched.thread, STOP) };
        watched.since = now;
    }
}
