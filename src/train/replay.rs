//! A step run again with a look at every tensor: where numbers first were none.
use super::{feed::Feed, steps::Steps, trainer::Trainer};
use crate::{Error, Result, Tensor, nn::Entry};
use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

/// What was seen of a step.
#[derive(Clone, Debug)]
pub struct Replay {
    /// Steps run to get there.
    pub before: u64,
    pub epoch: u32,
    pub images: Vec<u32>,
    pub lr: f64,
    pub loss: f32,
    pub gradient_norm: f64,
    /// What was not finite, in the order it was made.
    pub broken: Vec<Broken>,
    pub rows: Vec<Row>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    pub what: String,
    /// Numbers that are not finite.
    pub count: usize,
    pub of: usize,
}

/// A parameter.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: String,
    /// Before the step.
    pub weight_norm: f64,
    pub gradient_norm: f64,
    /// Numbers of its gradient.
    pub not_finite: usize,
}

/// Filled while the step runs.
#[derive(Default)]
struct Looks {
    values: usize,
    broken: Vec<Broken>,
    failed: Option<Error>,
}

impl Looks {
    fn look(&mut self, what: impl FnOnce() -> String, values: &[f32]) {
        let count = values.iter().filter(|v| !v.is_finite()).count();
        if count > 0 {
            let (what, of) = (what(), values.len());
            self.broken.push(Broken { what, count, of });
        }
    }
}

impl Trainer {
    /// Trains to before `step`, and then runs it with a look at all it makes.
    pub fn replay(&mut self, step: u64) -> Result<Replay> {
        assert!(self.step < step, "step {step} of a run at {}", self.step);
        let before = step - 1 - self.step;
        let mut feed = Feed::patient(&self.device, self.dataset(), &self.config, self.step..step)?;
        let mut steps = Steps::new(false);
        for _ in 0..before {
            let fed = feed.fetch_patiently()?;
            self.step_on(&feed, &mut steps, fed.epoch)?;
        }
        let weights = self.params.values.to_vec()?;
        let looks = Rc::new(RefCell::new(Looks::default()));
        self.watch(&looks);
        let (fed, lr) = (feed.fetch_patiently()?, self.lr());
        let made = self.step_on(&feed, &mut steps, fed.epoch);
        self.watcher = None;
        let made = made?;
        let mut looks = looks.take();
        if let Some(why) = looks.failed {
            return Err(why);
        }
        let loss = made.loss.item()?;
        looks.look(|| "the loss".into(), &[loss]);
        let rows = self.after(&weights, &mut looks)?;
        Ok(Replay {
            before,
            epoch: fed.epoch,
            images: fed.ids,
            lr,
            loss,
            gradient_norm: (made.moved.summary.to_vec()?[0] as f64).sqrt(),
            broken: looks.broken,
            rows,
        })
    }

    /// Parameters by name, other values by the op that made them and its place.
    fn watch(&mut self, looks: &Rc<RefCell<Looks>>) {
        let (looks, params) = (looks.clone(), self.params.clone());
        let flats: Vec<Tensor> = [Some(&params.values), params.reals()]
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        let mut names = BTreeMap::new();
        for entry in params.layout().parameters() {
            let places = flats.iter().map(|flat| params.view(flat, entry).ptr());
            names.extend(places.map(|at| (at, entry.name.clone())));
        }
        self.watcher = Some(Rc::new(move |made_by, value| {
            let mut looks = looks.borrow_mut();
            looks.values += 1;
            let number = looks.values;
            let what = || match names.get(&value.ptr()) {
                Some(name) => format!("weight {name}"),
                None => format!("{made_by} {}, value {number}", value.shape()),
            };
            match value.to_vec() {
                Ok(values) => looks.look(what, &values),
                Err(why) => looks.failed = Some(why),
            }
        }));
    }

    /// Gradient, velocities, weights and statistics by name, after the step.
    fn after(&self, weights: &[f32], looks: &mut Looks) -> Result<Vec<Row>> {
        let layout = &self.network.layout;
        let (parameters, statistics) = (layout.parameters(), layout.statistics());
        let gradients = self.gradients.to_vec()?;
        for (what, flat, entries) in [
            ("gradient of", &self.gradients, parameters),
            ("velocity of", &self.velocities, parameters),
            ("after the step, weight", &self.params.values, parameters),
            ("after the step,", &self.params.statistics, statistics),
        ] {
            let flat = flat.to_vec()?;
            for entry in entries {
                looks.look(|| format!("{what} {}", entry.name), of(&flat, entry));
            }
        }
        let row = |entry: &Entry| {
            let gradient = of(&gradients, entry);
            Row {
                name: entry.name.clone(),
                weight_norm: norm(of(weights, entry)),
                gradient_norm: norm(gradient),
                not_finite: gradient.iter().filter(|g| !g.is_finite()).count(),
            }
        };
        Ok(parameters.iter().map(row).collect())
    }
}

fn of<'a>(flat: &'a [f32], entry: &Entry) -> &'a [f32] {
    &flat[entry.offset..][..entry.len()]
}

fn norm(values: &[f32]) -> f64 {
    let squares = values.iter().map(|&v| v as f64 * v as f64);
    squares.sum::<f64>().sqrt()
}
