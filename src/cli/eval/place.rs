//! Where a result stays for `selfsame report`: in the folder of the run whose weights were judged. Other
//! weights, a file of somebody's say, have no such place.
use super::labelled::{Opened, SpecArgs};
use crate::train::results;
use serde_json::Value;
use std::path::{Path, PathBuf};

pub struct Place {
    /// `None` where the weights are not a run's folder.
    run: Option<PathBuf>,
    /// What every result says beside its numbers.
    about: Value,
}

impl Place {
    pub fn of(weights: &Path, opened: &Opened, specs: &SpecArgs) -> Place {
        let is_run = weights.join("config.toml").exists();
        Place {
            run: is_run.then(|| weights.to_path_buf()),
            about: serde_json::json!({
                "step": opened.loaded.batches,
                "train": specs.train,
                "val": specs.val,
                "class_names": opened.train.classes(),
            }),
        }
    }

    /// `words` that are not empty make the name. A result that cannot be kept has still been told.
    pub fn keep(&self, words: &[&str], mut result: Value) {
        let Some(run) = &self.run else { return };
        for (name, value) in self.about.as_object().into_iter().flatten() {
            result[name] = value.clone();
        }
        let words: Vec<&str> = words
            .iter()
            .filter(|word| !word.is_empty())
            .copied()
            .collect();
        match results::keep(run, &words.join("-"), &result) {
            Ok(path) => eprintln!("{}: for selfsame report", path.display()),
            Err(error) => eprintln!("warning[report]: the result is not kept: {error}"),
        }
    }
}

/// A recipe as a word of a result's name; the default is not worth one.
pub fn recipe_word(recipe: &str) -> &str {
    if recipe == "search" { "" } else { recipe }
}

/// Of the labels, as a word of a result's name; all of them are not worth one.
pub fn share_word(fraction: Option<f64>) -> String {
    fraction.map_or(String::new(), |fraction| fraction.to_string())
}

/// `result` with what was taken for what, as in [`crate::evaluate::Judged`].
pub fn with(mut result: Value, confusion: &[(u32, u32, u32)]) -> Value {
    result["confusion"] = serde_json::json!(confusion);
    result
}
