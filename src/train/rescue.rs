//! What follows a step whose numbers are not finite: it is put aside to be looked at, and then the run
//! ends, or goes back to its newest checkpoint and on from there at half the rate. The batches stay what
//! they were: their order is the seed's, and a rate that is lower is all that is tried.
use super::{
    checkpoint, dump,
    log::Log,
    numbers::NotFinite,
    rollback::{MOST, Rollback, Rollbacks},
    stop::Stop,
    trainer::{Outcome, Trainer},
};
use crate::{Error, Result, config::OnNan};
use std::{
    mem,
    path::{Path, PathBuf},
};

impl Trainer {
    /// Trains to the last step, or to where `stop` says; checkpoints go below `checkpoints`, in the run's
    /// folder. Errors with [`Error::Numeric`] where a step's loss, gradient, weights or statistics are not
    /// finite and [`OnNan`] does not say to go back.
    pub fn run(&mut self, checkpoints: &Path, log: &mut Log, stop: &Stop) -> Result<Outcome> {
        loop {
            let ended = self.run_on(checkpoints, log, stop);
            let found = self.numbers.take_found();
            let (Err(Error::Numeric(why)), Some(found)) = (&ended, &found) else {
                return ended;
            };
            let why = format!("{why}\n{}", self.put_aside(checkpoints, found));
            match self.config.engine.on_nan {
                OnNan::Stop => {
                    return Err(Error::Numeric(format!("{why}\n{}", way_out(checkpoints))));
                }
                OnNan::Rollback => self.go_back(checkpoints, log, found, &why)?,
            }
        }
    }

    /// What to say of the dump: that it could not be written hides no error.
    fn put_aside(&self, checkpoints: &Path, found: &NotFinite) -> String {
        let debug = folder_of(checkpoints).join("debug");
        match dump::write(self, checkpoints, &debug, found) {
            Ok(dump) => format!(
                "  run it again, with a look at every tensor: selfsame replay {}",
                dump.path.display()
            ),
            Err(why) => format!("  it could not be put aside to be run again: {why}"),
        }
    }

    /// The weights are then those of the newest checkpoint, or the seed's where there is none.
    fn go_back(
        &mut self,
        checkpoints: &Path,
        log: &mut Log,
        found: &NotFinite,
        why: &str,
    ) -> Result<()> {
        let mut rollbacks = self.rollbacks.clone();
        if rollbacks.0.len() >= MOST {
            return Err(Error::Numeric(format!(
                "{why}\n  the run went back {MOST} times before, each time to half the rate: it is not the rate\n  look at the step that replay shows, and at the images of its batch"
            )));
        }
        if checkpoint::list(checkpoints)?.is_empty() {
            if !self.config.encoder.init_from.is_empty() {
                return Err(Error::Numeric(format!(
                    "{why}\n  there is no checkpoint to go back to; start the run again"
                )));
            }
            let lineage = mem::take(&mut self.lineage);
            *self = Trainer::new(&self.device, &self.config, self.dataset())?;
            self.lineage = lineage;
        } else {
            let warnings = self.restore(checkpoints)?;
            warnings.iter().for_each(|warning| log.warn(warning));
        }
        let (from, to) = (found.step.step, self.step);
        rollbacks.0.push(Rollback { from, to });
        rollbacks.write(checkpoints)?;
        self.rollbacks = rollbacks;
        log.rewind(&folder_of(checkpoints), to)?;
        log.warn(&format!(
            "[numeric]: {why}\n  back to step {to}, and on at {} of the rate ({} of {MOST} times)",
            self.rollbacks.factor(to),
            self.rollbacks.0.len()
        ));
        Ok(())
    }

    /// Of the run with these checkpoints.
    pub fn read_rollbacks(&mut self, checkpoints: &Path) -> Result<()> {
        self.rollbacks = Rollbacks::read(checkpoints)?;
        Ok(())
    }
}

fn way_out(checkpoints: &Path) -> String {
    let from = match checkpoint::list(checkpoints) {
        Ok(found) if found.is_empty() => "no checkpoint was written yet; begin again",
        _ => "the last checkpoint is from before; go on from it",
    };
    format!(
        "  {from} at half the rate with: selfsame resume {} --on-nan rollback\n  or start anew with a lower --lr, a longer warm-up, or without images of one colour",
        folder_of(checkpoints).display()
    )
}

fn folder_of(checkpoints: &Path) -> PathBuf {
    checkpoints.parent().unwrap_or(checkpoints).to_path_buf()
}
