//! The loop: feed, loss, backward, optimize, log, checkpoint. It decides nothing about learning.
use super::{
    build::{self, About, Network},
    changes::Lineage,
    checkpoint,
    feed::{Asked, Feed},
    log::{self, Log},
    monitor::Monitor,
    numbers::Numbers,
    parts,
    saver::Saver,
    scalars::Scalars,
    schedule::Schedule,
    state,
    stop::{Stop, Why},
};
use crate::{
    Device, Error, Result, Tensor,
    config::{self, Config},
    data::{Dataset, sampler::steps_per_epoch},
    device::Graph,
    methods::Phase,
    nn::{Params, Pass},
    ops::optimize::{self, Segments},
};
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

pub struct Trainer {
    pub device: Device,
    pub config: Config,
    pub network: Network,
    pub params: Params,
    pub schedule: Schedule,
    /// Steps done.
    pub step: u64,
    /// Whose checkpoints are this run's too.
    pub lineage: Lineage,
    pub(super) dataset: Arc<Dataset>,
    pub(super) fingerprint: u64,
    /// Bad images met in the steps done.
    pub(super) bad: u64,
    pub(super) velocities: Tensor,
    gradients: Tensor,
    segments: Segments,
    /// Of a phase in which one parameter stands still.
    unfrozen: Option<Segments>,
    vector_lr: f64,
    scalars: Scalars,
    rule: optimize::Step,
    numbers: Numbers,
    monitor: Monitor,
}

/// Steps launched one by one before one is captured: what is made when it is first needed is made then,
/// and the pool has a step's memory to give to the graph.
const WARM_UP: u32 = 2;

/// How steps are launched: each anew, or captured once and replayed.
struct Steps {
    captures: bool,
    /// One by one.
    launched: u32,
    captured: Option<(Made, Graph)>,
    /// Of the steps launched or captured.
    phase: Phase,
}

/// What a step's launches leave to be looked at, until the next step.
#[derive(Clone)]
pub(super) struct Made {
    loss: Tensor,
    /// f32 (2): the gradient's square, and how many of it are not finite.
    summary: Tensor,
    pub(super) embeddings: Tensor,
    pub(super) codes: Option<Tensor>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// The checkpoint of the step reached is written, if the disk had room.
    Stopped(Why),
}

impl Trainer {
    /// At step 0.
    pub fn new(device: &Device, config: &Config, dataset: &Arc<Dataset>) -> Result<Trainer> {
        let per_epoch = steps_per_epoch(dataset.len(), config.schedule.batch)?;
        let peak = config.optimize.lr.at(config.schedule.batch);
        let network = Network::new(device, config, About::of(dataset))?;
        let params = network.params.clone();
        let scalars = Scalars::new(device)?;
        let segments = |frozen| build::segments(device, &network.layout, &config.optimize, frozen);
        let frozen = network.method.freezes();
        let schedule = Schedule::new(&config.schedule, peak, per_epoch);
        Ok(Trainer {
            device: device.clone(),
            config: config.clone(),
            monitor: Monitor::new(config, schedule.steps, per_epoch),
            schedule,
            step: 0,
            lineage: Lineage::default(),
            dataset: dataset.clone(),
            fingerprint: dataset.fingerprint(),
            bad: 0,
            velocities: params.zeros()?,
            gradients: params.zeros()?,
            segments: segments(None)?,
            unfrozen: frozen.map(|id| segments(Some(id))).transpose()?,
            vector_lr: vector_lr(&config.optimize, config.schedule.batch),
            rule: build::optimizer_step(&config.optimize, scalars.lr.clone()),
            scalars,
            numbers: Numbers::new(device)?,
            params,
            network,
        })
    }

    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Goes on from the newest good checkpoint; returns warnings about damaged ones.
    pub fn restore(&mut self, checkpoints: &Path) -> Result<Vec<String>> {
        let (meta, state, warnings) = checkpoint::newest(checkpoints)?;
        let hash = |hash: u64| format!("{hash:016x}");
        let earlier = self.lineage.configs.contains(&meta.config);
        let as_many = meta.images == self.dataset.len() as u64;
        let moved = earlier && self.lineage.images_moved && as_many;
        if meta.dataset != hash(self.fingerprint) && !moved {
            return Err(Error::Data(format!(
                "the images are not those of this run: it had {} and now there are {}, or their names differ\n  a resumed run sees what it would have seen; put them back, or start a new run; where the same images were moved: --set data.images=... --force-change data.images",
                meta.images,
                self.dataset.len()
            )));
        }
        let ours = meta.config == hash(self.config.hash());
        if !ours && !earlier {
            return Err(Error::Config(
                "config.toml was changed in what decides the weights\n  resume keeps them; start a new run with another --out".into(),
            ));
        }
        let method = &mut *self.network.method;
        state::restore(checkpoints, &state, &self.params, &self.velocities, method)?;
        (self.step, self.bad) = (meta.step, meta.bad);
        Ok(warnings)
    }

    /// Trains to the last step, or to where `stop` says; checkpoints go below `checkpoints`.
    pub fn run(&mut self, checkpoints: &Path, log: &mut Log, stop: &Stop) -> Result<Outcome> {
        let end = self.schedule.steps;
        let bytes = self.state_bytes();
        let per_epoch = self.schedule.steps_per_epoch;
        let mut saver = Saver::new(checkpoints, &self.config.output, per_epoch, bytes);
        let (device, images, config) = (&self.device, &self.dataset, &self.config);
        let asked = || stop.reason(self.step, saver.reserve()).is_some();
        let mut feed = Feed::start(device, images, config, self.step, end, self.bad, &asked)?;
        let mut steps = Steps::new(self.captures());
        let mut step_took = Duration::ZERO;
        log.begin();
        while self.step < end {
            let started = Instant::now();
            let reserve = 2 * step_took + saver.reserve();
            if let Some(why) = stop.reason(self.step, reserve) {
                self.numbers.settle(log)?;
                self.save_last(log, &mut saver)?;
                return Ok(Outcome::Stopped(why));
            }
            let feed = feed
                .as_mut()
                .expect("it is missing only where `stop` has a reason");
            let step = self.step;
            let asked = || stop.reason(step, reserve).is_some();
            self.train_step(feed, &mut steps, log, &asked)?;
            saver.look(log);
            if saver.is_due(self.step) && self.step < end {
                self.numbers.settle(log)?;
                self.save(log, &mut saver)?;
            }
            step_took = started.elapsed();
        }
        self.numbers.settle(log)?;
        self.save_last(log, &mut saver)?;
        Ok(Outcome::Done)
    }

    /// Does nothing where `asked` says to end before the step's images have come.
    fn train_step(
        &mut self,
        feed: &mut Feed,
        steps: &mut Steps,
        log: &mut Log,
        asked: Asked,
    ) -> Result<()> {
        let Some(fed) = feed.fetch(asked)? else {
            return Ok(());
        };
        self.bad = feed.bad();
        log.bad(&fed.bad);
        let lr = self.schedule.lr(self.step);
        let per_epoch = self.schedule.steps_per_epoch;
        let phase = self.network.method.begin(self.step, per_epoch);
        self.scalars
            .set(fed.epoch, self.step, [lr, lr * self.vector_lr])?;
        let made = self.advance(feed, steps, phase)?;
        self.step += 1;
        let step = log::Step {
            step: self.step,
            epoch: fed.epoch,
            loss: f32::NAN,
            lr,
            gradient_norm: f64::NAN,
            images: fed.ids.len(),
            wait: fed.wait,
            collapse: None,
        };
        let line_is_due = self.step.is_multiple_of(self.config.output.log_every);
        let collapse = line_is_due.then(|| self.monitor.look(&made)).transpose()?;
        let step = log::Step { collapse, ..step };
        self.numbers.add(&made.loss, &made.summary, step)?;
        if self.numbers.is_full() || line_is_due {
            self.numbers.settle(log)?;
        }
        if let (Some(seen), Some(loss)) = (collapse, log.loss) {
            let warning = self.monitor.judge(&seen, loss as f32, self.step);
            warning.iter().for_each(|warning| log.warn(warning));
        }
        Ok(())
    }

    fn captures(&self) -> bool {
        match self.config.engine.graph {
            _ if self.device.is_tracing() => false, // a trace is of launches
            config::Graph::Auto => self.device.name().starts_with("cuda"),
            config::Graph::On => true,
            config::Graph::Off => false,
        }
    }

    fn advance(&mut self, feed: &Feed, steps: &mut Steps, phase: Phase) -> Result<Made> {
        if steps.phase != phase {
            *steps = Steps::new(steps.captures);
            steps.phase = phase;
        }
        if steps.captured.is_none() && steps.captures && steps.launched >= WARM_UP {
            let device = self.device.clone();
            steps.captured = Some(device.capture(|| self.launch(feed, phase))?);
        }
        match &steps.captured {
            Some((made, graph)) => graph.replay().map(|()| made.clone()),
            None => {
                steps.launched += 1;
                self.launch(feed, phase)
            }
        }
    }

    /// A whole step on the device, from the images fetched to the weights moved. The same launches with
    /// the same numbers in every step: what differs is read from `scalars` and the feed's memory.
    fn launch(&mut self, feed: &Feed, phase: Phase) -> Result<Made> {
        let batch = feed.batch(&self.scalars)?;
        let objective = match self.config.method.accumulate_exact {
            1 => {
                let mut pass = Pass::train(&self.params);
                let objective = self.network.method.loss(&mut pass, &batch)?;
                pass.backward(&objective.loss, &self.gradients)?;
                self.network.method.after_backward(&batch, &objective)?;
                objective
            }
            parts => {
                let method = self.network.method.in_parts();
                let method = method.expect("the configuration was checked");
                parts::gradient(method, &self.params, &batch, parts, &self.gradients)?
            }
        };
        let segments = match &self.unfrozen {
            Some(unfrozen) if phase.frozen => unfrozen,
            _ => &self.segments,
        };
        let summary = optimize::step(
            &self.params.values,
            self.params.reals(),
            &self.gradients,
            &self.velocities,
            segments,
            &self.rule,
        )?;
        Ok(Made {
            loss: objective.loss.value,
            summary,
            embeddings: objective.embeddings,
            codes: objective.codes,
        })
    }
}

impl Steps {
    fn new(captures: bool) -> Steps {
        Steps {
            captures,
            launched: 0,
            captured: None,
            phase: Phase::default(),
        }
    }
}

/// Of the tensors that `spare_vectors` spares, as a share of the others'.
fn vector_lr(o: &config::Optimize, batch: usize) -> f64 {
    o.vector_lr
        .map_or(1.0, |other| other.at(batch) / o.lr.at(batch))
}
