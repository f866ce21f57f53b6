//! What was measured of a run's weights: `RUN/evaluations/NAME.json`, each written whole or not at all.
use crate::{
    Error, Result,
    evaluate::Score,
    interop::{Existing, WholeFile},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

const FOLDER: &str = "evaluations";
/// What the run itself measures: kNN before its first step and after its last.
const WHILE_TRAINING: &str = "training";

/// kNN accuracy after `step` steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    pub step: u64,
    #[serde(flatten)]
    pub score: Score,
}

#[derive(Default, Serialize, Deserialize)]
struct WhileTraining {
    knn: Vec<Seen>,
}

/// Keeps `result` under `name`, instead of an older one of that name.
pub fn keep(run: &Path, name: &str, result: &Value) -> Result<PathBuf> {
    let folder = run.join(FOLDER);
    fs::create_dir_all(&folder).map_err(Error::file(&folder))?;
    let path = folder.join(format!("{name}.json"));
    let mut file = WholeFile::create(&path, Existing::Replace)?;
    file.write(format!("{result}\n").as_bytes())?;
    file.finish()?;
    Ok(path)
}

/// Every result with its name, in the order of names; and of each file that cannot be read, why.
pub fn all(run: &Path) -> (Vec<(String, Value)>, Vec<String>) {
    let (mut results, mut unread) = (Vec::new(), Vec::new());
    for name in names(run) {
        let path = run.join(FOLDER).join(format!("{name}.json"));
        match read(&path) {
            _ if name == WHILE_TRAINING => (),
            Ok(result) => results.push((name, result)),
            Err(why) => unread.push(format!("{}: {why}", path.display())),
        }
    }
    (results, unread)
}

/// Files that are being written begin with a dot.
fn names(run: &Path) -> Vec<String> {
    let entries = fs::read_dir(run.join(FOLDER)).into_iter().flatten();
    let name = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let name = name.strip_suffix(".json")?;
        (!name.starts_with('.')).then(|| name.to_string())
    };
    let mut names: Vec<String> = entries.flatten().filter_map(name).collect();
    names.sort_unstable();
    names
}

fn read(path: &Path) -> Result<Value, String> {
    let bytes = fs::read(path).map_err(|e| e.to_string())?;
    serde_json::from_slice(&bytes).map_err(|e| e.to_string())
}

/// What kNN was seen to be, by step; nothing where it was never looked at.
pub fn knn_while_training(run: &Path) -> Vec<Seen> {
    let path = run.join(FOLDER).join(format!("{WHILE_TRAINING}.json"));
    let known = fs::read(path).ok();
    let known = known.and_then(|bytes| serde_json::from_slice::<WhileTraining>(&bytes).ok());
    known.unwrap_or_default().knn
}

/// Adds `seen` to them, instead of an older one of the same step.
pub fn keep_knn(run: &Path, seen: Seen) -> Result<()> {
    let mut knn = knn_while_training(run);
    knn.retain(|old| old.step != seen.step);
    knn.push(seen);
    knn.sort_by_key(|seen| seen.step);
    let all = serde_json::to_value(WhileTraining { knn }).expect("numbers");
    keep(run, WHILE_TRAINING, &all).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_back_by_name_and_what_is_damaged_is_said() {
        let run = tempfile::tempdir().unwrap();
        let run = run.path();
        assert_eq!(all(run), (Vec::new(), Vec::new()));
        let result = serde_json::json!({"top1": 50.0});
        keep(run, "linear", &result).unwrap();
        keep(run, "knn", &serde_json::json!({})).unwrap();
        fs::write(run.join("evaluations/layers.json"), "{\"top").unwrap();
        let (results, unread) = all(run);
        assert_eq!(results[1], ("linear".into(), result));
        assert_eq!(results.len(), 2);
        assert!(
            unread.len() == 1 && unread[0].contains("layers.json"),
            "{unread:?}"
        );
    }

    #[test]
    fn a_step_looked_at_again_takes_the_place_of_the_first_look() {
        let run = tempfile::tempdir().unwrap();
        let seen = |step, top1| Seen {
            step,
            score: Score {
                top1,
                top5: 90.0,
                images: 7,
            },
        };
        for seen in [seen(10, 40.0), seen(0, 20.0), seen(10, 41.0)] {
            keep_knn(run.path(), seen).unwrap();
        }
        let known = knn_while_training(run.path());
        assert_eq!(known, [seen(0, 20.0), seen(10, 41.0)]);
        assert!(all(run.path()).0.is_empty());
    }
}
