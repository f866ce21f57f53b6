//! Why a run ends before its last step: a signal, its time is up, or whoever started it is gone. A signal
//! only raises a flag; the loop looks at it between steps, and while it waits for images.
use crate::{Error, Result, config::hours_minutes};
use signal_hook::{
    consts::{SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ},
    flag,
};
use std::{
    env, fmt,
    os::unix::process::parent_id,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

#[derive(Clone)]
pub struct Stop {
    signal: Arc<AtomicUsize>,
    started: Instant,
    max_time: Option<Duration>,
    step: Option<u64>,
    /// The process whose end is this one's.
    parent: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its name.
    Signal(&'static str),
    /// `--max-time`.
    Time(Duration),
    /// Of the process that started this one, by its id.
    ParentGone(u32),
    /// `Stop::before`.
    Asked,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Why::Signal(name) => write!(f, "{name} received"),
            Why::Time(limit) => {
                write!(
                    f,
                    "the time of --max-time, {}, is up",
                    hours_minutes(*limit)
                )
            }
            Why::ParentGone(id) => write!(f, "process {id}, which started this one, is gone"),
            Why::Asked => write!(f, "asked to"),
        }
    }
}

/// What launchers that wait for their processes, and leave them behind when they are killed, set for each.
/// Not Slurm's: its daemon ends what is left of a step itself, and a batch script that has ended is no
/// reason to stop. A shell is never one: what it left running under `nohup` is meant to go on.
const LAUNCHED: [&str; 3] = ["TORCHELASTIC_RUN_ID", "OMPI_COMM_WORLD_RANK", "PMI_RANK"];

impl Stop {
    /// Never by itself.
    pub fn never() -> Stop {
        Stop {
            signal: Arc::default(),
            started: Instant::now(),
            max_time: None,
            step: None,
            parent: None,
        }
    }

    /// Before `step`.
    pub fn before(step: u64) -> Stop {
        Stop {
            step: Some(step),
            ..Stop::never()
        }
    }

    /// On TERM, INT, USR1 and USR2, and after `max_time` less what saving takes. A second INT ends the
    /// process at once, with 130.
    pub fn on_signals(max_time: Option<Duration>) -> Result<Stop> {
        let stop = Stop {
            max_time,
            ..Stop::never()
        };
        let failed = |e| Error::Environment(format!("cannot listen to signals: {e}"));
        let interrupted = Arc::new(AtomicBool::new(false));
        flag::register_conditional_shutdown(SIGINT, 130, interrupted.clone()).map_err(failed)?;
        flag::register(SIGINT, interrupted).map_err(failed)?;
        for signal in [SIGTERM, SIGINT, SIGUSR1, SIGUSR2] {
            flag::register_usize(signal, stop.signal.clone(), signal as usize).map_err(failed)?;
        }
        // A file grown over the limit is then an error of the write, not the end of the process.
        flag::register(SIGXFSZ, Arc::default()).map_err(failed)?;
        Ok(stop)
    }

    /// And when the process that started this one is gone, where that was `asked` for or a launcher's
    /// variable is set.
    pub fn with_parent(self, asked: bool) -> Stop {
        let launched = LAUNCHED.iter().any(|name| env::var_os(name).is_some());
        let parent = (asked || launched).then(parent_id);
        Stop { parent, ..self }
    }

    /// Why to stop before `step`, where `reserve` is what one more step and saving may take.
    pub fn reason(&self, step: u64, reserve: Duration) -> Option<Why> {
        match self.signal.load(Ordering::Relaxed) as i32 {
            0 => (),
            SIGTERM => return Some(Why::Signal("SIGTERM")),
            SIGINT => return Some(Why::Signal("SIGINT")),
            SIGUSR1 => return Some(Why::Signal("SIGUSR1")),
            _ => return Some(Why::Signal("SIGUSR2")),
        }
        // An orphan is given another parent at once.
        if let Some(parent) = self.parent.filter(|&parent| parent != parent_id()) {
            return Some(Why::ParentGone(parent));
        }
        if self.step == Some(step) {
            return Some(Why::Asked);
        }
        let over = |limit: &Duration| self.started.elapsed() + reserve >= *limit;
        self.max_time.filter(over).map(Why::Time)
    }
}
