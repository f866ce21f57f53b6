//! `checkpoints/rollbacks.json`: where a run went back to after a step whose numbers were not finite. From
//! there on its learning rate is half of what it was: a function of the step, so that whoever resumes at
//! any checkpoint goes on with the rate that the run had there.
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

pub const FILE: &str = "rollbacks.json";

/// Times a run may go back.
pub const MOST: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// The step that was not finite.
    pub from: u64,
    /// Steps done at the checkpoint gone back to.
    pub to: u64,
}

/// In the order they happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rollbacks(pub Vec<Rollback>);

impl Rollbacks {
    /// Of the run whose checkpoints are in `folder`.
    pub fn read(folder: &Path) -> Result<Rollbacks> {
        let path = folder.join(FILE);
        let text = match fs::read_to_string(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Rollbacks::default()),
            read => read.map_err(Error::file(&path))?,
        };
        serde_json::from_str(&text).map_err(|why| Error::Checkpoint {
            why: format!(
                "{why}\n  it says from which steps on the learning rate is halved; repair it, or remove it to go on at the full rate"
            ),
            path,
        })
    }

    /// Whole or not at all.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let (file, unfinished) = (folder.join(FILE), folder.join(format!(".{FILE}")));
        let text = serde_json::to_vec(self).expect("numbers");
        let written = fs::create_dir_all(folder).and_then(|()| {
            let mut new = File::create(&unfinished)?;
            new.write_all(&text)?;
            new.sync_all()?;
            fs::rename(&unfinished, &file)
        });
        written.map_err(Error::file(file))
    }

    /// Of the learning rate of the step that follows `step` others.
    pub fn factor(&self, step: u64) -> f64 {
        let since = self.0.iter().filter(|rollback| rollback.to <= step);
        0.5f64.powi(since.count() as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_halved_from_where_a_run_went_back_to() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = folder.path().join("checkpoints");
        assert_eq!(Rollbacks::read(&checkpoints).unwrap().factor(9), 1.0);
        let rollbacks = [(57, 50), (63, 60), (61, 60)];
        let rollbacks = Rollbacks(rollbacks.map(|(from, to)| Rollback { from, to }).into());
        rollbacks.write(&checkpoints).unwrap();
        let read = Rollbacks::read(&checkpoints).unwrap();
        assert_eq!(read, rollbacks);
        assert_eq!(
            [49, 50, 59, 60].map(|step| read.factor(step)),
            [1.0, 0.5, 0.5, 0.125]
        );
        fs::write(checkpoints.join(FILE), "[{").unwrap();
        assert_eq!(Rollbacks::read(&checkpoints).unwrap_err().exit_code(), 6);
    }
}
