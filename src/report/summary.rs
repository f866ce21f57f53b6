//! A run as its folder tells of it.
use super::Curves;
use crate::{
    Error, Result,
    config::Config,
    train::{
        checkpoint,
        results::{self, Seen},
        run::Run,
    },
};
use serde::Serialize;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

#[derive(Serialize)]
pub struct Summary {
    /// Its folder's, or where two runs share that, the whole path.
    pub name: String,
    pub path: String,
    pub state: State,
    /// Steps logged, or where there are more, saved.
    pub step: u64,
    /// `config.toml`, section by section.
    pub settings: Value,
    /// `env.json` and `data.json`; null where they are missing.
    pub environment: Value,
    pub images: Value,
    pub curves: Curves,
    /// What kNN was seen to be.
    pub knn: Vec<Seen>,
    /// Of `eval`, by name.
    pub evaluations: Vec<(String, Value)>,
    /// What is missing, and why.
    pub notes: Vec<String>,
    #[serde(skip)]
    pub config: Config,
    #[serde(skip)]
    pub folder: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// A process holds it, or died so suddenly that its lock is still there.
    Running,
    Finished,
    Stopped,
}

impl Summary {
    /// Errors where `folder` is no run.
    pub fn read(folder: &Path) -> Result<Summary> {
        let file = Run::config_of(folder);
        if !file.exists() {
            return Err(Error::Config(format!(
                "{} is no run: it holds no config.toml\n  name the --out folder of a `selfsame train`",
                folder.display()
            )));
        }
        let config = Config::read(&file)?;
        let mut notes = Vec::new();
        let curves = Curves::read(folder)?;
        if curves.steps.is_empty() {
            notes.push(format!(
                "No curves: metrics.jsonl has no line yet; one is written every {} steps (output.log_every).",
                config.output.log_every
            ));
        }
        let saved = checkpoint::list(&Run::checkpoints_of(folder))?;
        let saved = saved.first().map_or(0, |(step, _)| *step);
        let (evaluations, unread) = results::all(folder);
        let unread = unread.into_iter();
        notes.extend(unread.map(|why| format!("An evaluation cannot be read: {why}.")));
        Ok(Summary {
            name: name_of(folder),
            path: folder.display().to_string(),
            state: State::of(folder),
            step: saved.max(curves.steps.last().copied().unwrap_or(0)),
            settings: serde_json::to_value(&config).expect("strings and numbers"),
            environment: json(folder, "env.json", &mut notes),
            images: json(folder, "data.json", &mut notes),
            curves,
            knn: results::knn_while_training(folder),
            evaluations,
            notes,
            config,
            folder: folder.into(),
        })
    }

    /// Of each of `folders`, with names that differ. The same run twice is an error.
    pub fn read_all(folders: &[PathBuf]) -> Result<Vec<Summary>> {
        let mut runs: Vec<Summary> = Vec::new();
        for folder in folders {
            let run = Summary::read(folder)?;
            if runs.iter().any(|other| other.path == run.path) {
                let path = folder.display();
                return Err(Error::Config(format!("{path} is named twice")));
            }
            runs.push(run);
        }
        let names: Vec<String> = runs.iter().map(|run| run.name.clone()).collect();
        for run in &mut runs {
            if names.iter().filter(|name| **name == run.name).count() > 1 {
                run.name.clone_from(&run.path);
            }
        }
        Ok(runs)
    }
}

impl State {
    fn of(folder: &Path) -> State {
        let has = |name: &str| folder.join(name).exists();
        match (has("LOCK"), has("exports/encoder.safetensors")) {
            (true, _) => State::Running,
            (false, true) => State::Finished,
            (false, false) => State::Stopped,
        }
    }
}

/// `.` and `..` have none of their own.
fn name_of(folder: &Path) -> String {
    let whole = folder.canonicalize().unwrap_or_else(|_| folder.into());
    let name = whole.file_name().unwrap_or(whole.as_os_str());
    name.to_string_lossy().into_owned()
}

fn json(folder: &Path, name: &str, notes: &mut Vec<String>) -> Value {
    let read = || -> Result<Value, String> {
        let bytes = fs::read(folder.join(name)).map_err(|e| e.to_string())?;
        serde_json::from_slice(&bytes).map_err(|e| e.to_string())
    };
    read().unwrap_or_else(|why| {
        notes.push(format!("{name} cannot be read: {why}."));
        Value::Null
    })
}
