//! A run of a study: trained to its end, judged before and after, and kept.
use super::{Place, Plan, write};
use crate::{
    Error, Result,
    config::{Config, Layers},
    data::{Dataset, sampler::steps_per_epoch},
    evaluate::{Collapse, Features, LinearPlan, NeighboursPlan, Score, knn, linear},
    nn::Params,
    train::{
        checkpoint,
        log::{self, Line, Log},
        neighbours::{Labelled, Neighbours},
        run::{Images, Run},
        stop::Stop,
        trainer::{Outcome, Trainer},
        verdict,
    },
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{fs, path::Path, sync::Arc};

/// A run by what sets it apart from the others.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Its folder's too.
    pub name: String,
    pub preset: &'static str,
    /// `section.key=value`; the last word.
    pub assignments: Vec<String>,
}

/// What a study makes its runs with.
pub struct Runner<'a> {
    pub plan: &'a Plan,
    pub place: &'a Place<'a>,
    pub dataset: Arc<Dataset>,
    /// By what all runs are judged.
    pub neighbours: Neighbours,
    /// Pixels a side of each view.
    size: u32,
}

/// A run that is done, with what a judge said of its network.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured<J> {
    pub name: String,
    /// Untrained.
    pub before: J,
    pub after: J,
    /// Of training alone.
    pub seconds: f64,
    pub images_per_second: f64,
    /// Of device memory, in training; `None` where another process did the last step.
    pub peak_bytes: Option<u64>,
    /// What the monitor held to be wrong at its last look.
    pub verdict: Option<String>,
    /// `metrics.jsonl`.
    pub curve: Vec<Line>,
}

/// A network that is to be judged.
pub struct Subject<'a> {
    pub network: &'a crate::nn::ResNet,
    pub params: &'a Params,
    pub neighbours: &'a Neighbours,
    stop: &'a Stop,
    seed: u64,
}

/// By nearest neighbours and by a linear probe.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Both {
    pub knn: Score,
    pub linear: Score,
}

/// The side of images without a common one, and the largest: as the presets for two cores have it.
const SIDE: u32 = 32;
/// Looks of the monitor, lines of the log.
const LOOKS: u64 = 20;
const RESULT: &str = "result.json";

impl Variant {
    pub fn new(name: impl Into<String>, preset: &'static str) -> Variant {
        Variant {
            name: name.into(),
            preset,
            assignments: Vec::new(),
        }
    }

    pub fn with(mut self, assignment: impl Into<String>) -> Variant {
        self.assignments.push(assignment.into());
        self
    }
}

impl<'a> Runner<'a> {
    /// Refuses images that cannot be judged by before anything is trained.
    pub fn new(plan: &'a Plan, place: &'a Place) -> Result<Runner<'a>> {
        let dataset = Dataset::open(&plan.images, plan.seed)?;
        let unlabelled = (0..dataset.len()).find(|&image| dataset.label(image).is_none());
        if let Some(image) = unlabelled {
            return Err(Error::Data(format!(
                "{} has no label, and what runs learn is judged by labels\n  a study needs a folder a class, CIFAR files or `synthetic`",
                dataset.name(image)
            )));
        }
        let size = dataset.common_size().map(|(w, h)| w.max(h));
        let size = size.filter(|&side| side <= SIDE).unwrap_or(SIDE);
        let config = config(plan, place, size, &Variant::new("judged", "tiny"))?;
        steps_per_epoch(dataset.len(), config.schedule.batch)?;
        let Some(neighbours) = Neighbours::new(&config, &dataset)? else {
            return Err(Error::Data(format!(
                "{} images are too few to tell one by the others\n  name labelled ones with --val",
                dataset.len()
            )));
        };
        Ok(Runner {
            plan,
            place,
            dataset: Arc::new(dataset),
            neighbours,
            size,
        })
    }

    /// Every variant on all images, in order.
    pub fn run_all<J: Serialize + DeserializeOwned>(
        &self,
        variants: &[Variant],
        judge: impl Fn(&Subject) -> Result<J>,
    ) -> Result<Vec<Measured<J>>> {
        let run = |variant| self.run(variant, &self.dataset, &judge);
        variants.iter().map(run).collect()
    }

    /// Trains on `dataset`, from wherever the run's folder stands, and has the network judged; a run that
    /// was measured is read.
    pub fn run<J: Serialize + DeserializeOwned>(
        &self,
        variant: &Variant,
        dataset: &Arc<Dataset>,
        judge: impl Fn(&Subject) -> Result<J>,
    ) -> Result<Measured<J>> {
        let folder = self.place.out.join("runs").join(&variant.name);
        let result = folder.join(RESULT);
        if let Ok(text) = fs::read(&result) {
            (self.place.say)(&format!("{}: measured before", variant.name));
            return serde_json::from_slice(&text).map_err(|why| Error::Checkpoint {
                path: result,
                why: why.to_string(),
            });
        }
        let config = config(self.plan, self.place, self.size, variant)?;
        let device = (self.place.open)()?; // its own: what memory it has used is this run's
        let mut trainer = Trainer::new(&device, &config, dataset)?;
        (self.place.say)(&format!(
            "{}: {} steps of {} images",
            variant.name, trainer.schedule.steps, config.schedule.batch
        ));
        let run = enter(&folder, &mut trainer, dataset)?;
        let peak_bytes = self.train(variant, &mut trainer, &run)?;
        let measured = self.measure(variant, &trainer, peak_bytes, &run, judge)?;
        let text = serde_json::to_vec_pretty(&measured).expect("strings and numbers");
        write(&result, &text)?;
        Ok(measured)
    }

    /// Returns the most memory it took, if it did anything.
    fn train(&self, variant: &Variant, trainer: &mut Trainer, run: &Run) -> Result<Option<u64>> {
        let end = trainer.schedule.steps;
        if trainer.step >= end {
            return Ok(None);
        }
        let interval = trainer.config.output.log_every;
        let mut log = Log::open(run.path(), interval, trainer.step, end)?;
        log.show(run.path(), &trainer.config, trainer.step);
        run.warnings.iter().for_each(|warning| log.warn(warning));
        let outcome = trainer.run(&run.checkpoints(), &mut log, self.place.stop);
        log.finish();
        match outcome? {
            Outcome::Done => Ok(Some(trainer.device.memory().peak)),
            Outcome::Stopped(why) => Err(Error::Stopped(format!(
                "Stopped in the run {} after step {} of {end}: {why}",
                variant.name, trainer.step
            ))),
        }
    }

    fn measure<J>(
        &self,
        variant: &Variant,
        trainer: &Trainer,
        peak_bytes: Option<u64>,
        run: &Run,
        judge: impl Fn(&Subject) -> Result<J>,
    ) -> Result<Measured<J>> {
        let (config, network, device) = (&trainer.config, &trainer.network, &trainer.device);
        let neighbours = self.neighbours.clone().seen_by(config);
        let neighbours = neighbours.affordable(device, network)?;
        let seed = config.schedule.seed;
        let untrained = Params::new(device, &network.layout, seed)?;
        let judged = |params| {
            judge(&Subject {
                network: &network.encoder,
                params,
                neighbours: &neighbours,
                stop: self.place.stop,
                seed,
            })
        };
        let curve = log::lines(run.path())?;
        let schedule = &trainer.schedule;
        let seconds = seconds(&curve, config.schedule.batch);
        Ok(Measured {
            name: variant.name.clone(),
            before: judged(&untrained)?,
            after: judged(&trainer.params)?,
            seconds,
            images_per_second: schedule.steps as f64 * config.schedule.batch as f64 / seconds,
            peak_bytes,
            verdict: verdict(config, schedule.steps, schedule.steps_per_epoch, &curve),
            curve,
        })
    }
}

/// A run's folder, new or as it was left: then the trainer stands where its newest checkpoint does.
fn enter(folder: &Path, trainer: &mut Trainer, dataset: &Dataset) -> Result<Run> {
    let config = &trainer.config;
    let mut run = match folder.exists() {
        false => Run::create(folder, config)?,
        true => Run::open(folder)?.0,
    };
    let images = Images {
        roots: &config.data.images,
        count: dataset.len(),
        fingerprint: format!("{:016x}", trainer.fingerprint()),
    };
    run.describe(&images, &trainer.device.name())?;
    let checkpoints = run.checkpoints();
    if checkpoints.exists() && !checkpoint::list(&checkpoints)?.is_empty() {
        run.warnings.extend(trainer.restore(&checkpoints)?);
    }
    Ok(run)
}

fn config(plan: &Plan, place: &Place, size: u32, variant: &Variant) -> Result<Config> {
    let mut layers = Layers::default();
    layers.preset(variant.preset)?;
    layers.set("the images", "encoder.image_size", size)?;
    layers.set("IMAGES", "data.images", plan.images.clone())?;
    layers.set("--val", "data.val", plan.val.as_str())?;
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    for (flag, key, value) in [
        ("--workers", "data.workers", place.workers as u64),
        ("--batch", "schedule.batch", plan.batch as u64),
        ("--steps", "schedule.steps", plan.steps),
        ("--seed", "schedule.seed", plan.seed),
        ("--steps", "output.log_every", (plan.steps / LOOKS).max(1)),
    ] {
        layers.set(flag, key, count(value))?;
    }
    for assignment in plan.set.iter().chain(&variant.assignments) {
        layers.assign(assignment)?;
    }
    layers.finish()
}

/// Of the steps that `curve` tells of.
fn seconds(curve: &[Line], batch: usize) -> f64 {
    let before = [0].into_iter().chain(curve.iter().map(|line| line.step));
    let took = |(line, before): (&Line, u64)| {
        (line.step - before) as f64 * batch as f64 / line.images_per_second
    };
    curve.iter().zip(before).map(took).sum()
}

impl<J> Measured<J> {
    /// What the monitor saw last.
    pub fn last_look(&self) -> Option<Collapse> {
        self.curve.iter().rev().find_map(|line| line.collapse)
    }
}

impl Subject<'_> {
    pub fn knn(&self) -> Result<Score> {
        self.neighbours.score(self.network, self.params, self.stop)
    }

    pub fn embed(&self) -> Result<[Labelled; 2]> {
        self.neighbours.embed(self.network, self.params, self.stop)
    }

    /// The same features by either.
    pub fn both(&self) -> Result<Both> {
        let [bank, queries] = self.embed()?;
        let (bank, queries) = (bank.features(), queries.features());
        let classes = self.neighbours.classes();
        Ok(Both {
            knn: knn(bank, queries, classes, NeighboursPlan::default()),
            linear: self.linear(bank, queries, LinearPlan::default()),
        })
    }

    /// A linear probe trained on `bank`, judged on `queries`.
    pub fn linear(&self, bank: Features, queries: Features, plan: LinearPlan) -> Score {
        let plan = LinearPlan {
            batch: plan.batch.min(bank.len()),
            seed: self.seed,
            ..plan
        };
        let classes = self.neighbours.classes();
        linear(bank, queries, classes, &plan, &|_, _| ()).score
    }
}
