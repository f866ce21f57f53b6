//! A moment in a stream's work, that a later one can be measured from.
use super::Cuda;
use crate::{Error, Result};
use cudarc::driver::{result, sys};

pub(crate) struct Event {
    event: sys::CUevent,
    context: sys::CUcontext,
}
// SAFETY: the handles are process-wide; every call first makes the context current on its thread.
unsafe impl Send for Event {}

impl Cuda {
    /// After all that was launched before.
    pub(super) fn event(&self) -> Result<Event> {
        self.enter()?;
        let failed = |e| self.failed("event", e);
        let event = result::event::create(sys::CUevent_flags::CU_EVENT_DEFAULT).map_err(failed)?;
        let context = self.context;
        let made = Event { event, context };
        // SAFETY: event and stream are ours.
        unsafe { result::event::record(made.event, self.stream) }.map_err(failed)?;
        Ok(made)
    }
}

impl Event {
    /// Waits for this event.
    pub fn seconds_since(&self, earlier: &Event) -> Result<f64> {
        // SAFETY: both were recorded in one stream, and live.
        let milliseconds = unsafe {
            result::ctx::set_current(self.context)
                .and_then(|()| result::event::synchronize(self.event))
                .and_then(|()| result::event::elapsed(earlier.event, self.event))
        };
        let milliseconds = milliseconds.map_err(|e| Error::Launch {
            kernel: "a kernel before this",
            device: "cuda".into(),
            why: e.to_string(),
        })?;
        Ok(milliseconds as f64 / 1e3)
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: destroyed once; the driver keeps what is pending.
        let _ = unsafe {
            result::ctx::set_current(self.context).and_then(|()| result::event::destroy(self.event))
        };
    }
}
