//! Launches as one CUDA graph: captured from the stream, instantiated, and launched by one call.
use super::Cuda;
use crate::{Error, Result, device::graph::Executable};
use cudarc::driver::{result, sys};

struct Whole {
    executable: sys::CUgraphExec,
    context: sys::CUcontext,
    stream: sys::CUstream,
    device: String,
}
// SAFETY: the handles are process-wide; every call first makes the context current on its thread. The
// graph's `Device` keeps context and stream alive.
unsafe impl Send for Whole {}
unsafe impl Sync for Whole {}

/// What a capture leaves, and an instantiation no longer needs.
struct Captured(sys::CUgraph);

impl Drop for Captured {
    fn drop(&mut self) {
        // SAFETY: made by a capture, destroyed once.
        let _ = unsafe { result::graph::destroy(self.0) };
    }
}

impl Cuda {
    pub(super) fn instantiate(
        &self,
        launches: &dyn Fn() -> Result<()>,
    ) -> Result<Box<dyn Executable>> {
        self.enter()?;
        let failed = |e| self.failed("graph capture", e);
        // Other threads' calls are no part of this and need not wait for it.
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the stream is ours, alive, and not the default one.
        unsafe { result::stream::begin_capture(self.stream, mode) }.map_err(failed)?;
        let launched = launches();
        // Whatever happened: the stream is of no use before this.
        // SAFETY: as above.
        let captured = unsafe { result::stream::end_capture(self.stream) }.map(Captured);
        launched?;
        let captured = captured.map_err(failed)?;
        let flags = sys::CUgraphInstantiate_flags(0);
        // SAFETY: `captured` is a whole graph.
        let executable =
            unsafe { result::graph::instantiate(captured.0, flags) }.map_err(failed)?;
        Ok(Box::new(Whole {
            executable,
            context: self.context,
            stream: self.stream,
            device: format!("cuda:{}", self.ordinal),
        }))
    }
}

impl Executable for Whole {
    fn run(&self) -> Result<()> {
        // SAFETY: context, stream and executable live as long as the graph.
        let launched = unsafe {
            result::ctx::set_current(self.context)
                .and_then(|()| result::graph::launch(self.executable, self.stream))
        };
        launched.map_err(|e| Error::Launch {
            kernel: "a captured step",
            device: self.device.clone(),
            why: e.to_string(),
        })
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        // SAFETY: destroyed once; where it still runs the driver waits for its end.
        let _ = unsafe {
            result::ctx::set_current(self.context)
                .and_then(|()| result::graph::exec_destroy(self.executable))
        };
    }
}
