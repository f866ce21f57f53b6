//! A run's curves: every number of every line of `metrics.jsonl`, thinned to what a page can draw.
use crate::{Error, Result};
use serde::Serialize;
use serde_json::{Map, Value};
use std::{collections::BTreeMap, fs, io, path::Path};

/// Points of a curve.
const MOST: usize = 1000;

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Curves {
    /// Of each point, ascending.
    pub steps: Vec<u64>,
    /// By the name they have in the file; null where a point has none, or one that is no number.
    pub values: BTreeMap<String, Vec<Option<f64>>>,
    /// Lines that a point is the mean of.
    pub merged: usize,
}

impl Curves {
    /// Of the run in `run`; none where it has logged nothing yet. A line that was not written whole is
    /// left out.
    pub fn read(run: &Path) -> Result<Curves> {
        let path = run.join("metrics.jsonl");
        match fs::read(&path) {
            Ok(bytes) => Ok(Curves::of(&String::from_utf8_lossy(&bytes))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Curves::default()),
            Err(error) => Err(Error::file(path)(error)),
        }
    }

    fn of(text: &str) -> Curves {
        let lines = text.lines().map(serde_json::from_str::<Map<String, Value>>);
        let lines = lines.filter_map(|line| {
            let line = line.ok()?;
            Some((line.get("step")?.as_u64()?, line))
        });
        let lines: Vec<(u64, Map<String, Value>)> = lines.collect();
        let merged = lines.len().div_ceil(MOST).max(1);
        let points: Vec<&[(u64, Map<String, Value>)]> = lines.chunks(merged).collect();
        let mut values = BTreeMap::new();
        for name in lines.iter().flat_map(|(_, line)| line.keys()) {
            // What was not a number is null in the file.
            let is_curve = |(_, line): &(u64, Map<String, Value>)| {
                line.get(name).is_some_and(|value| value.as_f64().is_some())
            };
            if name == "step" || values.contains_key(name) || !lines.iter().any(is_curve) {
                continue;
            }
            let curve = points.iter().map(|lines| mean(lines, name)).collect();
            values.insert(name.clone(), curve);
        }
        let step = |lines: &&[(u64, Map<String, Value>)]| lines.last().map(|(step, _)| *step);
        Curves {
            steps: points.iter().filter_map(step).collect(),
            values,
            merged,
        }
    }

    /// (step, value) of one curve where it has values.
    pub fn points(&self, name: &str) -> Vec<(f64, f64)> {
        let values = self.values.get(name).into_iter().flatten();
        let points = self.steps.iter().zip(values);
        let known = points.filter_map(|(&step, value)| Some((step as f64, (*value)?)));
        known.collect()
    }
}

fn mean(lines: &[(u64, Map<String, Value>)], name: &str) -> Option<f64> {
    let values = lines
        .iter()
        .filter_map(|(_, line)| line.get(name)?.as_f64());
    let (sum, count) = values.fold((0.0, 0), |(sum, count), x| (sum + x, count + 1));
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_stays_a_gap_and_half_a_line_is_none() {
        let text = "{\"step\":10,\"loss\":2.0}\n{\"step\":20,\"loss\":null,\"spread\":0.5}\n{\"step\":30,\"loss\":1.0}\n{\"st";
        let curves = Curves::of(text);
        assert_eq!(curves.steps, [10, 20, 30]);
        assert_eq!(curves.values["loss"], [Some(2.0), None, Some(1.0)]);
        assert_eq!(curves.values["spread"], [None, Some(0.5), None]);
        assert_eq!(curves.points("loss"), [(10.0, 2.0), (30.0, 1.0)]);
        assert_eq!(Curves::of("").steps, [0; 0]);
    }

    #[test]
    fn a_long_run_is_thinned_by_means() {
        let line = |step: u64| format!("{{\"step\":{step},\"loss\":{}}}\n", step % 2);
        let curves = Curves::of(&(1..=2500).map(line).collect::<String>());
        assert_eq!((curves.merged, curves.steps.len()), (3, 834));
        assert_eq!((curves.steps[0], curves.steps[833]), (3, 2500));
        assert_eq!(curves.values["loss"][0], Some(2.0 / 3.0));
    }
}
