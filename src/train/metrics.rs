//! `RUN/metrics.jsonl`: a JSON object a line, one every `output.log_every` steps and one after the last. Keys
//! keep their names and units from version to version; new ones may be added.
//!
//! | key | present | unit | what |
//! |---|---|---|---|
//! | `step` | always | steps | done, this one included |
//! | `epoch` | always | epochs | that the step belongs to, from 0 |
//! | `loss` | always | nats; of `barlow` none | the method's, mean of the steps since the line before |
//! | `lr` | always | none | learning rate of this step |
//! | `gradient_norm` | always | loss a unit of weight | length of this step's whole gradient |
//! | `images_per_second` | always | images/s | trained on since the line before, each counted once however many its views |
//! | `wait` | always | share, 0 to 1 | of the time since the line before: images were waited for |
//! | `spread` | every `log_every` steps | none | of this step's embeddings, made length 1: deviation over the views x sqrt(d); 1 uniform on the sphere, 0 collapsed |
//! | `mean_cosine` | with `spread` | none | between embeddings of different views |
//! | `effective_rank` | with `spread` | dimensions | that the embeddings use, 1 to `full_rank` |
//! | `full_rank` | with `spread` | dimensions | the lesser of embeddings looked at and their size |
//! | `usage_entropy` | with `spread`, `swav` alone | nats | of the mean code; ln K where all K prototypes are used alike |
//! | `usage_share` | with `usage_entropy` | share, 0 to 1 | of ln K |
//!
//! A run that went back (`resume` after a crash, `--on-nan rollback`) drops the lines of the steps it lost:
//! steps only ever increase. A line cut short by a full disk is no JSON; readers pass it over.
use crate::{Error, Result, evaluate::Collapse};
use serde::{Deserialize, Serialize};
use std::{fs, path::Path};

pub(super) const METRICS: &str = "metrics.jsonl";

/// A line: its keys are in the table above.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    pub step: u64,
    pub epoch: u32,
    pub loss: f64,
    pub lr: f64,
    pub gradient_norm: f64,
    pub images_per_second: f64,
    pub wait: f64,
    /// Of the line's last step.
    #[serde(flatten)]
    pub collapse: Option<Collapse>,
}

/// Of a run's `metrics.jsonl`; a line that was not written whole is none.
pub fn lines(run: &Path) -> Result<Vec<Line>> {
    let path = run.join(METRICS);
    let text = fs::read_to_string(&path).map_err(Error::file(&path))?;
    let lines = text.lines().map(serde_json::from_str);
    Ok(lines.filter_map(Result::ok).collect())
}

#[derive(Deserialize)]
struct Place {
    #[serde(default)]
    step: u64,
}

/// Keeps the whole lines up to and with step `done`.
pub(super) fn drop_after(path: &Path, done: u64) -> Result<()> {
    let Ok(text) = fs::read_to_string(path) else {
        return Ok(());
    };
    let kept = |line: &&str| {
        let place: Result<Place, _> = serde_json::from_str(line);
        place.is_ok_and(|place| place.step <= done)
    };
    let kept: String = text
        .lines()
        .filter(kept)
        .map(|l| format!("{l}\n"))
        .collect();
    if kept == text {
        return Ok(());
    }
    fs::write(path, kept).map_err(Error::file(path))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// With every key there is.
    pub fn full_line() -> Line {
        Line {
            step: 50,
            epoch: 1,
            loss: 5.5,
            lr: 0.25,
            gradient_norm: 1.5,
            images_per_second: 1000.0,
            wait: 0.125,
            collapse: Some(Collapse {
                spread: 0.5,
                mean_cosine: 0.75,
                effective_rank: 17.0,
                full_rank: 128,
                usage_entropy: Some(3.5),
                usage_share: Some(0.625),
            }),
        }
    }

    /// The table's first column, in order.
    pub fn documented() -> Vec<&'static str> {
        let rows = include_str!("metrics.rs").lines();
        let rows = rows.filter_map(|line| line.strip_prefix("//! | `"));
        rows.map(|row| row.split('`').next().unwrap()).collect()
    }

    #[test]
    fn every_key_written_is_documented_and_the_other_way_round() {
        let json = serde_json::to_string(&full_line()).unwrap();
        let written: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&json).unwrap();
        let mut documented = documented();
        documented.sort_unstable();
        let written: Vec<&str> = written.keys().map(|key| &key[..]).collect();
        assert_eq!(written, documented);
        let again: Line = serde_json::from_str(&json).unwrap();
        assert_eq!(again, full_line());
    }

    #[test]
    fn lines_of_lost_steps_are_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(METRICS);
        fs::write(&path, "{\"step\":10}\n{\"step\":20}\n{\"step\":30}\n{\"st").unwrap();
        drop_after(&path, 20).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "{\"step\":10}\n{\"step\":20}\n");
    }
}
