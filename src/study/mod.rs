//! Experiments, one file each: which runs it makes, what is measured of each, and what the numbers say.
//!
//! A study's folder holds `study.json`, what it was asked for; `runs/NAME`, each a run as `train` makes it,
//! with `result.json` once it has been measured; and, at the end, `STUDY.md`, `.json` and `.svg`. A study
//! that was stopped goes on where it stopped: a run that was measured is not repeated, one in the middle is
//! resumed. Runs are as long as steps say, not the clock: the same study gives the same numbers again.
mod collapse;
mod imbalance;
mod layers;
mod methods;
mod negatives;
mod report;
mod runner;
mod words;

use crate::{
    Device, Error, Result,
    config::nearest,
    interop::{Existing, WholeFile},
    train::stop::Stop,
};
use report::Report;
use runner::Runner;
use serde::{Deserialize, Serialize};
use std::{fs, path::Path};

pub struct Study {
    pub name: &'static str,
    /// A sentence.
    pub about: &'static str,
    /// Of each run, where nothing else is asked for: all of them end within a quarter of an hour on two
    /// cores.
    pub steps: u64,
    run: fn(&Runner) -> Result<Report>,
}

pub const STUDIES: [&Study; 5] = [
    &collapse::STUDY,
    &layers::STUDY,
    &imbalance::STUDY,
    &negatives::STUDY,
    &methods::STUDY,
];

/// What a study is asked for; what of it changes the numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub study: String,
    pub images: Vec<String>,
    /// Empty: as in `Data::val`.
    pub val: String,
    /// Of a batch of `batch`.
    pub steps: u64,
    pub batch: usize,
    pub seed: u64,
    /// `section.key=value`, in every run.
    pub set: Vec<String>,
}

/// Where it runs and whom it tells.
pub struct Place<'a> {
    pub out: &'a Path,
    pub open: &'a dyn Fn() -> Result<Device>,
    /// Of the loader; 0: one a core.
    pub workers: usize,
    pub stop: &'a Stop,
    pub say: &'a dyn Fn(&str),
}

/// What a study found.
pub struct Findings {
    /// The table and what was seen.
    pub text: String,
    /// All numbers.
    pub numbers: serde_json::Value,
}

impl Study {
    pub fn named(name: &str) -> Result<&'static Study> {
        let known = || STUDIES.iter().map(|study| study.name);
        let found = STUDIES.into_iter().find(|study| study.name == name);
        found.ok_or_else(|| {
            let all = known().collect::<Vec<_>>().join(", ");
            let meant = match nearest(name, known()) {
                Some(meant) => format!("did you mean `{meant}`? there are {all}"),
                None => format!("there are {all}"),
            };
            Error::Config(format!("unknown study `{name}`\n  {meant}"))
        })
    }

    /// From where it stopped, or from the beginning, to the end.
    pub fn run(&self, plan: &Plan, place: &Place) -> Result<Findings> {
        check_place(place.out, plan)?;
        let runner = Runner::new(plan, place)?;
        fs::create_dir_all(place.out).map_err(Error::file(place.out))?;
        let plan_json = serde_json::to_vec_pretty(plan).expect("strings and numbers");
        write(&place.out.join(PLAN), &plan_json)?;
        let report = (self.run)(&runner)?;
        report.write(self, &runner)
    }
}

const PLAN: &str = "study.json";

/// A folder that is new, empty, or of the same study.
fn check_place(out: &Path, plan: &Plan) -> Result<()> {
    let refuse = |why: &str| {
        Err(Error::Config(format!(
            "{} {why}\n  name another folder with --out",
            out.display()
        )))
    };
    if out.is_file() {
        return refuse("is a file");
    }
    let Ok(text) = fs::read(out.join(PLAN)) else {
        let occupied = fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some());
        return match occupied {
            true => refuse("is not empty and holds no study"),
            false => Ok(()),
        };
    };
    match serde_json::from_slice::<Plan>(&text) {
        Ok(held) if held == *plan => Ok(()),
        Ok(held) => refuse(&format!(
            "holds the study {} of {}: {} steps, batch {}, seed {}, val `{}`, set {:?}",
            held.study,
            held.images.join(" "),
            held.steps,
            held.batch,
            held.seed,
            held.val,
            held.set
        )),
        Err(why) => refuse(&format!("holds a {PLAN} that cannot be read: {why}")),
    }
}

/// Whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = WholeFile::create(path, Existing::Replace)?;
    file.write(bytes)?;
    file.finish()?;
    Ok(())
}
