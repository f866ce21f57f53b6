//! `RUN/debug/nan-00000057/`: what it takes to run a step again whose numbers were not finite.
//!
//! `nan.json` says what was seen; `config.toml` is the run's; `checkpoints/` holds the newest checkpoint
//! before the step, by another name of the same file where the disk can do that. From it every step leads
//! to the next bit for bit, so the steps in between are run again, not kept. Without a checkpoint the
//! weights are the seed's.
use super::{changes::Lineage, checkpoint, numbers::NotFinite, rollback, trainer::Trainer};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    path::{Path, PathBuf},
};

const FORMAT: u32 = 1;
const NOTE: &str = "nan.json";
pub const CONFIG: &str = "config.toml";
const CHECKPOINTS: &str = "checkpoints";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    pub format: u32,
    pub version: String,
    /// Steps done, the one that was not finite included.
    pub step: u64,
    /// Steps done at the checkpoint; 0 without one.
    pub from: u64,
    pub seed: u64,
    pub epoch: u32,
    pub device: String,
    /// As text: JSON has no NaN.
    pub lr: String,
    pub loss: String,
    pub gradient_norm: String,
    /// The batch, by places in the data.
    pub images: Vec<u32>,
    pub gradient: Vec<Count>,
    pub weights: Vec<Count>,
    pub statistics: Vec<Count>,
}

/// Numbers of a tensor that are not finite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    pub name: String,
    pub not_finite: u64,
}

/// Where a dump lies, and what it says.
pub struct Dump {
    pub path: PathBuf,
    pub note: Note,
}

/// Below `RUN/debug`. A dump of the same step that was there before is replaced.
pub fn write(
    trainer: &Trainer,
    checkpoints: &Path,
    debug: &Path,
    found: &NotFinite,
) -> Result<Dump> {
    let step = found.step;
    let path = debug.join(format!("nan-{:08}", step.step));
    if path.exists() {
        fs::remove_dir_all(&path).map_err(Error::file(&path))?;
    }
    fs::create_dir_all(&path).map_err(Error::file(&path))?;
    let counts = |found: &[(String, u64)]| {
        let count = |(name, not_finite): &(String, u64)| Count {
            name: name.clone(),
            not_finite: *not_finite,
        };
        found.iter().map(count).collect()
    };
    let note = Note {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").into(),
        step: step.step,
        from: keep_checkpoint(checkpoints, &path.join(CHECKPOINTS))?,
        seed: trainer.config.schedule.seed,
        epoch: step.epoch,
        device: trainer.device.name(),
        lr: step.lr.to_string(),
        loss: step.loss.to_string(),
        gradient_norm: step.gradient_norm.to_string(),
        images: found.ids.clone(),
        gradient: counts(&found.gradient),
        weights: counts(&found.weights),
        statistics: counts(&found.statistics),
    };
    let file = |name: &str, text: &str| {
        let file = path.join(name);
        fs::write(&file, text).map_err(Error::file(file))
    };
    file(CONFIG, &trainer.config.to_toml())?;
    let text = serde_json::to_string_pretty(&note).expect("strings and numbers");
    file(NOTE, &text)?;
    Ok(Dump { path, note })
}

/// Returns its step. Checkpoints are never changed once written, so another name is enough.
fn keep_checkpoint(from: &Path, to: &Path) -> Result<u64> {
    fs::create_dir_all(to).map_err(Error::file(to))?;
    let keep = |from: &Path, to: &Path| {
        let kept = fs::hard_link(from, to).or_else(|_| fs::copy(from, to).map(drop));
        kept.map_err(Error::file(to))
    };
    let rollbacks = from.join(rollback::FILE);
    if rollbacks.exists() {
        keep(&rollbacks, &to.join(rollback::FILE))?;
    }
    if checkpoint::list(from)?.is_empty() {
        return Ok(0);
    }
    let (meta, _, _) = checkpoint::newest(from)?;
    let folder = format!("step-{:08}", meta.step);
    let (from, to) = (from.join(&folder), to.join(&folder));
    fs::create_dir_all(&to).map_err(Error::file(&to))?;
    for entry in fs::read_dir(&from).map_err(Error::file(&from))? {
        let path = entry.map_err(Error::file(&from))?.path();
        keep(
            &path,
            &to.join(path.file_name().expect("an entry has a name")),
        )?;
    }
    Ok(meta.step)
}

impl Dump {
    pub fn read(path: &Path) -> Result<Dump> {
        let file = path.join(NOTE);
        let text = fs::read_to_string(&file).map_err(|why| {
            Error::Config(format!(
                "{}: {why}\n  a dump is a folder RUN/debug/nan-STEP, which a run leaves that ends with code 7",
                file.display()
            ))
        })?;
        let broken = |why: String| Error::Checkpoint {
            path: file.clone(),
            why,
        };
        let note: Note = serde_json::from_str(&text).map_err(|why| broken(why.to_string()))?;
        if note.format != FORMAT {
            let why = format!("format {}, this version reads {FORMAT}", note.format);
            return Err(broken(why));
        }
        let path = path.to_path_buf();
        Ok(Dump { path, note })
    }

    pub fn checkpoints(&self) -> PathBuf {
        self.path.join(CHECKPOINTS)
    }

    /// A new trainer stands where the dump begins.
    pub fn restore(&self, trainer: &mut Trainer) -> Result<()> {
        if checkpoint::list(&self.checkpoints())?.is_empty() {
            return trainer.read_rollbacks(&self.checkpoints());
        }
        // What was changed by force on the way is told in the run's folder, RUN of RUN/debug/nan-STEP.
        if let Some(run) = self.path.ancestors().nth(2) {
            trainer.lineage = Lineage::read(run);
        }
        trainer.restore(&self.checkpoints()).map(drop)
    }
}
