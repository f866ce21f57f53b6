//! When a run saves itself, and what becomes of a save that fails.
use super::{
    checkpoint::{self, Stamp},
    log::Log,
    state,
    trainer::Trainer,
};
use crate::{Result, config::Every};
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// When to save next.
pub(super) struct Saver {
    every: Every,
    last: Instant,
    pub(super) took: Duration,
}

impl Saver {
    pub(super) fn new(every: Every) -> Saver {
        Saver {
            every,
            last: Instant::now(),
            took: Duration::ZERO,
        }
    }

    pub(super) fn is_due(&self, step: u64) -> bool {
        match self.every {
            Every::Steps(steps) => step.is_multiple_of(steps),
            Every::Seconds(seconds) => self.last.elapsed() >= Duration::from_secs(seconds),
        }
    }
}

impl Trainer {
    /// A disk that is full stops nothing: the checkpoint before is still there, and the next interval
    /// tries again.
    pub(super) fn save(&mut self, checkpoints: &Path, log: &Log, saver: &mut Saver) {
        if let Err(why) = self.write(checkpoints, saver) {
            log.warn(&format!(
                "[checkpoint]: step {} was not saved, training goes on\n  {why}",
                self.step
            ));
        }
    }

    /// As `save`, where there is no next time.
    pub(super) fn save_last(
        &mut self,
        checkpoints: &Path,
        log: &Log,
        saver: &mut Saver,
    ) -> Result<()> {
        let Err(why) = self.write(checkpoints, saver) else {
            return Ok(());
        };
        if let Some((step, _)) = checkpoint::list(checkpoints)?.first() {
            log.warn(&format!(
                "[checkpoint]: the last one is of step {step}; make room and resume from it"
            ));
        }
        Err(why)
    }

    fn write(&mut self, checkpoints: &Path, saver: &mut Saver) -> Result<()> {
        let started = Instant::now();
        saver.last = started;
        let method = &mut *self.network.method;
        let state = state::gather(&self.params, &self.velocities, method)?;
        let stamp = Stamp {
            step: self.step,
            config: self.config.hash(),
            dataset: self.fingerprint,
            images: self.dataset.len() as u64,
        };
        checkpoint::write(checkpoints, &stamp, &state, self.config.output.keep)?;
        saver.took = started.elapsed();
        Ok(())
    }
}
