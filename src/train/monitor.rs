//! Looks now and then at what a step made of its views, and warns where all of them become one.
use super::{log::Line, trainer::Made};
use crate::{
    Result, Tensor,
    config::{Config, MethodName},
    evaluate::{Collapse, Family, is_at_chance},
};

/// Views looked at.
const ROWS: usize = 256;

pub struct Monitor {
    method: MethodName,
    prototypes: usize,
    steps_per_epoch: u64,
    /// An untrained network's embeddings lie close together: it is not judged before this step.
    grace: u64,
    /// Since when the loss has been that of codes that say nothing.
    at_chance_since: Option<u64>,
    /// What was wrong the last time too.
    suspected: bool,
    warned: bool,
}

impl Monitor {
    pub fn new(config: &Config, steps: u64, steps_per_epoch: u64) -> Monitor {
        Monitor {
            method: config.method.name,
            prototypes: config.method.prototypes,
            steps_per_epoch,
            grace: steps_per_epoch.min(steps / 4),
            at_chance_since: None,
            suspected: false,
            warned: false,
        }
    }

    /// Waits for the device.
    pub fn look(&mut self, made: &Made) -> Result<Collapse> {
        let some = |t: &Tensor| -> Result<(Vec<f32>, usize)> {
            let [rows, columns] = t.dims_of();
            Ok((t.rows(0, rows.min(ROWS)).to_vec()?, columns))
        };
        let (embeddings, dim) = some(&made.embeddings)?;
        let codes = made.codes.as_ref().map(some).transpose()?;
        let codes = codes.as_ref().map(|(codes, k)| (&codes[..], *k));
        Ok(Collapse::of(&embeddings, dim, codes))
    }

    /// What to say of it, once: when it was so the time before as well.
    pub fn judge(&mut self, seen: &Collapse, loss: f32, step: u64) -> Option<String> {
        let warning = self.wrong(seen, loss, step);
        let twice = warning.is_some() && self.suspected;
        self.suspected = warning.is_some();
        if !twice || self.warned {
            return None;
        }
        self.warned = true;
        warning.map(|warning| format!("[collapse]: step {step}: {warning}"))
    }

    /// What this look says is wrong, where it is not too early to tell.
    fn wrong(&mut self, seen: &Collapse, loss: f32, step: u64) -> Option<String> {
        let at_chance = is_at_chance(loss, self.prototypes);
        self.at_chance_since = self.at_chance_since.or(Some(step)).filter(|_| at_chance);
        let warning = seen.warning(self.family(step));
        warning.filter(|_| step > self.grace)
    }

    fn family(&self, step: u64) -> Family {
        match self.method {
            MethodName::Simclr | MethodName::Moco | MethodName::Pirl => Family::Negatives,
            MethodName::Swav => Family::Clusters {
                epochs_at_chance: self.at_chance_since.map_or(0.0, |since| {
                    (step - since) as f32 / self.steps_per_epoch as f32
                }),
            },
            MethodName::Barlow => Family::Decorrelation,
            MethodName::Invariance => Family::Nothing,
            MethodName::Jigsaw
            | MethodName::Rotation
            | MethodName::RelativePosition
            | MethodName::Supervised => Family::Classes,
        }
    }
}

/// What was wrong at the last look of a run of `steps`, by the lines it logged; `None` where nothing was.
pub fn verdict(
    config: &Config,
    steps: u64,
    steps_per_epoch: u64,
    lines: &[Line],
) -> Option<String> {
    let mut monitor = Monitor::new(config, steps, steps_per_epoch);
    let looks = lines.iter().filter_map(|line| Some((line, line.collapse?)));
    let verdicts = looks.map(|(line, seen)| monitor.wrong(&seen, line.loss as f32, line.step));
    verdicts.last().flatten()
}
