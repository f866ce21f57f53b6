//! A graph: launches made once and run many times. On CUDA they are one call to the driver, so that a step
//! costs the host nothing; elsewhere they run one after another, so that graphs are tested without a GPU.
//!
//! ```text
//! let (y, graph) = device.capture(|| op(&x))?;   // launches are recorded, none of them runs
//! graph.replay()?;                               // they run: y is op(x)
//! x.overwrite(..)?;
//! graph.replay()?;                               // and again, on what x holds now
//! ```
//!
//! A replay reads and writes the addresses of the capture. What was allocated within it is the graph's:
//! nobody else is handed that memory while the graph lives. What `body` reads from without (`x` above) is
//! the caller's to keep alive.
use super::{Device, Driver, Work};
use crate::{Error, Result};

/// A launch, to be made again.
pub(super) type Run = Box<dyn Fn(&dyn Driver) -> Result<()> + Send + Sync>;

/// What a driver makes of many launches.
pub(crate) trait Executable: Send + Sync {
    /// After all that was launched before it.
    fn run(&self) -> Result<()>;
}

/// The launches of a capture so far.
#[derive(Default)]
pub(super) struct Recording {
    runs: Vec<Run>,
    work: Work,
}

impl Recording {
    pub fn add(&mut self, work: Work, run: Run) {
        self.work += work;
        self.runs.push(run);
    }
}

pub struct Graph {
    form: Form,
    work: Work,
    /// Dropped last: until then it is in use.
    memory: Memory,
}

enum Form {
    Whole(Box<dyn Executable>),
    Launches(Vec<Run>),
}

impl Device {
    /// Records what `body` launches, and runs none of it: [`Graph::replay`] does. Nothing can be uploaded
    /// or downloaded meanwhile. Launches of other threads on this device would be the graph's too.
    pub fn capture<T>(&self, body: impl FnOnce() -> Result<T>) -> Result<(T, Graph)> {
        let capture = Capture::begin(self);
        let memory = Memory::begin(self);
        let made = body()?;
        let Recording { runs, work } = capture.end();
        let driver = &*self.0.driver;
        let form = match driver.graph(&|| runs.iter().try_for_each(|run| run(driver)))? {
            Some(whole) => Form::Whole(whole),
            None => Form::Launches(runs),
        };
        Ok((made, Graph { form, work, memory }))
    }

    pub(super) fn refuse_in_capture(&self, what: &'static str) -> Result<()> {
        match *self.0.recording.lock().unwrap() {
            None => Ok(()),
            Some(_) => Err(Error::Launch {
                kernel: what,
                device: self.name(),
                why: "a graph is being captured, and holds launches only".into(),
            }),
        }
    }
}

impl Graph {
    /// Runs its launches once more, after all that was launched before.
    pub fn replay(&self) -> Result<()> {
        let device = &self.memory.device;
        device.refuse_in_capture("replay")?;
        *device.0.work.lock().unwrap() += self.work;
        match &self.form {
            Form::Whole(whole) => whole.run(),
            Form::Launches(runs) => runs.iter().try_for_each(|run| run(&*device.0.driver)),
        }
    }

    /// Of one replay.
    pub fn work(&self) -> Work {
        self.work
    }
}

/// While it lives, the device records and its pool sets aside.
struct Capture<'a>(&'a Device);

impl Capture<'_> {
    fn begin(device: &Device) -> Capture<'_> {
        let mut recording = device.0.recording.lock().unwrap();
        assert!(recording.is_none(), "one capture at a time");
        *recording = Some(Recording::default());
        Capture(device)
    }
    fn end(self) -> Recording {
        let recording = self.0.0.recording.lock().unwrap().take();
        recording.expect("it began with one")
    }
}

impl Drop for Capture<'_> {
    fn drop(&mut self) {
        *self.0.0.recording.lock().unwrap() = None;
        self.0.0.pool.lock().unwrap().end_graph();
    }
}

/// What was allocated within one capture.
struct Memory {
    device: Device,
    graph: u64,
}

impl Memory {
    fn begin(device: &Device) -> Memory {
        let graph = device.0.pool.lock().unwrap().begin_graph();
        let device = device.clone();
        Memory { device, graph }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let inner = &self.device.0;
        let mut pool = inner.pool.lock().unwrap();
        pool.drop_graph(&*inner.driver, self.graph);
    }
}
