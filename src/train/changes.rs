//! `changes.jsonl`: what a run's configuration was changed in on the way, and which checkpoints of an
//! earlier configuration are nevertheless its own.
use crate::{
    Error, Result,
    config::{Change, Config},
};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
};

const CHANGES: &str = "changes.jsonl";

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    /// Steps done when it changed.
    step: u64,
    key: String,
    from: String,
    to: String,
    /// Let through by `--force-change`.
    forced: bool,
    /// `Config::hash` before, in hexadecimal.
    config: String,
}

/// What forced changes left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lineage {
    /// `Config::hash` before each, in hexadecimal.
    pub configs: Vec<String>,
    /// The images were moved: the same number of them, under other names.
    pub images_moved: bool,
}

impl Lineage {
    /// Of a run's folder; empty where nothing was forced.
    pub fn read(run: &Path) -> Lineage {
        let text = fs::read_to_string(run.join(CHANGES)).unwrap_or_default();
        let lines = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let mut lineage = Lineage::default();
        lines.for_each(|line: Line| lineage.add(line));
        lineage
    }

    /// With `changes` of `before`, which are about to be made.
    pub fn with(mut self, changes: &[Change], before: &Config) -> Lineage {
        let lines = changes.iter().map(|change| line(change, before, 0));
        lines.for_each(|line| self.add(line));
        self
    }

    fn add(&mut self, line: Line) {
        if line.forced {
            self.images_moved |= line.key == "data.images";
            self.configs.push(line.config);
        }
    }
}

/// Writes `changes` of `before`, made after `step`, down for good.
pub fn record(run: &Path, changes: &[Change], before: &Config, step: u64) -> Result<()> {
    let path = run.join(CHANGES);
    let lines: String = changes
        .iter()
        .map(|change| {
            let json = serde_json::to_string(&line(change, before, step));
            json.expect("strings and numbers") + "\n"
        })
        .collect();
    let opened = OpenOptions::new().create(true).append(true).open(&path);
    let written = opened.and_then(|mut file| {
        file.write_all(lines.as_bytes())?;
        file.sync_all()
    });
    written.map_err(Error::file(&path))
}

/// One that breaks the run is here because it was forced.
fn line(change: &Change, before: &Config, step: u64) -> Line {
    Line {
        step,
        key: change.key.clone(),
        from: change.from.clone(),
        to: change.to.clone(),
        forced: change.breaks().is_some(),
        config: format!("{:016x}", before.hash()),
    }
}
