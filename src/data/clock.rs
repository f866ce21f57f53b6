//! Processor time, which other programs on the machine do not lengthen as they do the time on the clock.
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Used by this thread so far.
pub fn of_thread() -> Duration {
    read(ClockId::ThreadCPUTime)
}

/// Used by all threads of this process so far, those that have ended too.
pub fn of_process() -> Duration {
    read(ClockId::ProcessCPUTime)
}

fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
