//! Why a run ends before its last step: a signal, or its time is up. A signal only raises a flag; the
//! loop looks at it between steps.
use crate::{Error, Result};
use signal_hook::{
    consts::{SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ},
    flag,
};
use std::{
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
}

impl Stop {
    /// Never by itself.
    pub fn never() -> Stop {
        Stop {
            signal: Arc::default(),
            started: Instant::now(),
            max_time: None,
            step: None,
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

    /// Why to stop before `step`, where `reserve` is what one more step and saving may take.
    pub fn reason(&self, step: u64, reserve: Duration) -> Option<String> {
        let signal = match self.signal.load(Ordering::Relaxed) as i32 {
            0 => None,
            SIGTERM => Some("SIGTERM"),
            SIGINT => Some("SIGINT"),
            SIGUSR1 => Some("SIGUSR1"),
            _ => Some("SIGUSR2"),
        };
        if let Some(signal) = signal {
            return Some(format!("{signal} received"));
        }
        if self.step == Some(step) {
            return Some("asked to".into());
        }
        let over = |limit: Duration| self.started.elapsed() + reserve >= limit;
        self.max_time.filter(|&limit| over(limit)).map(|limit| {
            let limit = crate::config::hours_minutes(limit);
            format!("the time of --max-time, {limit}, is up")
        })
    }
}
