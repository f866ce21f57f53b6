//! Saving while training goes on: the state is copied to the host between two steps, and a thread
//! brings it to the disk.
//!
//! One save is in flight, so that the host holds one copy. At a step the user named the one before is
//! waited for: that checkpoint was promised. By the clock and at epochs' ends nothing waits: what is due
//! while a save is in flight is passed over (epochs may be shorter than a save), or made late (the clock).
use super::{
    checkpoint::{self, Stamp, State},
    log::Log,
    room, state,
    trainer::Trainer,
};
use crate::{
    Error, Result,
    config::{Cadence, Output},
};
use std::{
    panic::resume_unwind,
    path::{Path, PathBuf},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Bytes a second that a disk is taken to write until it was seen to.
const SLOW_DISK: f64 = 100e6;

pub(super) struct Saver {
    folder: PathBuf,
    keep: usize,
    cadence: Cadence,
    steps_per_epoch: u64,
    /// When the last save began.
    last: Instant,
    /// From the copy to the last byte on the disk.
    took: Duration,
    writing: Option<Writing>,
    /// The last step saved by this process.
    saved: Option<u64>,
}

struct Writing {
    step: u64,
    /// Returns how long it took.
    thread: JoinHandle<Result<Duration>>,
}

impl Saver {
    /// Of checkpoints of `bytes` below `folder`.
    pub fn new(folder: &Path, output: &Output, steps_per_epoch: u64, bytes: u64) -> Saver {
        Saver {
            folder: folder.into(),
            keep: output.keep,
            cadence: output.checkpoint_every.clone(),
            steps_per_epoch,
            last: Instant::now(),
            took: Duration::from_secs_f64(bytes as f64 / SLOW_DISK),
            writing: None,
            saved: None,
        }
    }

    /// What saving now may take: what is in flight, and one more.
    pub fn reserve(&self) -> Duration {
        self.took * if self.writing.is_some() { 2 } else { 1 }
    }

    pub fn is_due(&self, step: u64) -> bool {
        let (cadence, since) = (&self.cadence, self.last.elapsed());
        let passed_by = cadence.is_at_epoch(step, self.steps_per_epoch) || cadence.is_after(since);
        cadence.is_at_step(step) || passed_by && self.writing.is_none()
    }

    /// Tells of a save that has ended, without waiting for one that has not.
    pub fn look(&mut self, log: &Log) {
        let ended = |writing: &Writing| writing.thread.is_finished();
        if self.writing.as_ref().is_some_and(ended) {
            self.settle(log);
        }
    }

    /// Where `step`, just made, is one that the user named: waits for the save before it, so that what is logged
    /// is never more than one checkpoint ahead of the disk.
    pub fn catch_up(&mut self, step: u64, log: &Log) {
        if self.cadence.is_at_step(step) {
            self.settle(log);
        }
    }

    /// Waits for the save in flight. A disk that is full stops nothing: the checkpoint before is still
    /// there, and the next interval tries again.
    fn settle(&mut self, log: &Log) {
        let step = self.writing.as_ref().map(|writing| writing.step);
        if let (Some(step), Err(why)) = (step, self.join()) {
            log.warn(&format!(
                "[checkpoint]: step {step} was not saved, training goes on\n  {why}"
            ));
        }
    }

    fn join(&mut self) -> Result<()> {
        let Some(writing) = self.writing.take() else {
            return Ok(());
        };
        let written = writing.thread.join();
        self.took = written.unwrap_or_else(|panic| resume_unwind(panic))?;
        self.saved = Some(writing.step);
        Ok(())
    }

    /// With none in flight.
    fn start(&mut self, stamp: Stamp, state: State) -> Result<()> {
        let (folder, keep, step) = (self.folder.clone(), self.keep, stamp.step);
        let began = self.last;
        let write = move || {
            checkpoint::write(&folder, &stamp, &state, keep)?;
            Ok(began.elapsed())
        };
        let thread = thread::Builder::new().name("checkpoint".into());
        let thread = thread.spawn(write).map_err(Error::file(&self.folder))?;
        self.writing = Some(Writing { step, thread });
        Ok(())
    }
}

/// What was begun is finished, whatever ended the run.
impl Drop for Saver {
    fn drop(&mut self) {
        if let Some(writing) = self.writing.take() {
            let _ = writing.thread.join();
        }
    }
}

impl Trainer {
    /// Of a checkpoint, about.
    pub fn state_bytes(&mut self) -> u64 {
        state::bytes(&self.params, &mut *self.network.method)
    }

    /// Errors where `checkpoints` has no room for one checkpoint; a warning where it has none for those
    /// that are to be kept.
    pub fn check_room(&mut self, checkpoints: &Path) -> Result<Option<String>> {
        room::check(checkpoints, self.state_bytes(), self.config.output.keep)
    }

    /// Writes a checkpoint of step 0, so that a run whose first weights are not the seed's needs nothing
    /// but its own folder from then on.
    pub fn save_first(&mut self, checkpoints: &Path) -> Result<()> {
        let (stamp, keep) = (self.stamp(), self.config.output.keep);
        checkpoint::write(checkpoints, &stamp, &self.state()?, keep).map(drop)
    }

    fn stamp(&self) -> Stamp {
        Stamp {
            step: self.step,
            config: self.config.hash(),
            dataset: self.fingerprint,
            images: self.dataset.len() as u64,
            bad: self.bad,
        }
    }

    fn state(&mut self) -> Result<State> {
        state::gather(&self.params, &self.velocities, &mut *self.network.method)
    }

    /// Copies the state as it is now, and lets training go on.
    pub(super) fn save(&mut self, log: &Log, saver: &mut Saver) -> Result<()> {
        saver.settle(log);
        if saver.saved == Some(self.step) {
            return Ok(());
        }
        saver.last = Instant::now();
        let state = self.state()?;
        if let Err(why) = saver.start(self.stamp(), state) {
            log.warn(&format!(
                "[checkpoint]: step {} was not saved, training goes on\n  {why}",
                self.step
            ));
        }
        Ok(())
    }

    /// As `save`, where there is no next time: waits for it. An error where no checkpoint was ever written.
    pub(super) fn save_last(&mut self, log: &Log, saver: &mut Saver) -> Result<()> {
        self.save(log, saver)?;
        let Err(why) = saver.join() else {
            return Ok(());
        };
        match checkpoint::list(&saver.folder)?.first() {
            None => Err(why),
            Some((step, _)) => {
                log.warn(&format!(
                    "[checkpoint]: step {} was not saved\n  {why}\n  the last checkpoint is of step {step}: make room, then resume goes on from there",
                    self.step
                ));
                Ok(())
            }
        }
    }
}
