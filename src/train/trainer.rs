//! The loop: feed, loss, backward, optimize, log, checkpoint. It decides nothing about learning.
#[cfg(feature = "fault")]
use super::planted;
use super::{
    board,
    build::{self, About, Network},
    changes::Lineage,
    checkpoint,
    feed::{Asked, Feed, Stretch},
    log::{self, Log},
    monitor::Monitor,
    numbers::Numbers,
    parts,
    rollback::Rollbacks,
    saver::Saver,
    scalars::Scalars,
    schedule::Schedule,
    state,
    steps::Steps,
    stop::{Stop, Why},
};
#[cfg(feature = "fault")]
use crate::fault::Place;
use crate::{
    Device, Error, Result, Tensor,
    config::{self, Config},
    data::{Dataset, sampler::steps_per_epoch},
    interop::weights::Weights,
    methods::Phase,
    nn::{Params, Pass},
    ops::optimize::{self, Moved, Segments},
    tape::Watcher,
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
    pub(super) gradients: Tensor,
    segments: Segments,
    /// Of a phase in which one parameter stands still.
    unfrozen: Option<Segments>,
    vector_lr: f64,
    scalars: Scalars,
    rule: optimize::Step,
    pub(super) rollbacks: Rollbacks,
    pub(super) numbers: Numbers,
    /// Sees every value of a step as it is made.
    pub(super) watcher: Option<Watcher>,
    monitor: Monitor,
}

/// What a step's launches leave to be looked at, until the next step.
#[derive(Clone)]
pub(super) struct Made {
    pub(super) loss: Tensor,
    pub(super) moved: Moved,
    /// Of the weights and the statistics after the step.
    pub(super) norms: [Tensor; 2],
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
        Trainer::starting(device, config, dataset, None)
    }

    /// As `new`, but the encoder's first values are `weights`, where there are any.
    pub fn starting(
        device: &Device,
        config: &Config,
        dataset: &Arc<Dataset>,
        weights: Option<&Weights>,
    ) -> Result<Trainer> {
        let per_epoch = steps_per_epoch(dataset.len(), config.schedule.batch)?;
        let peak = config.optimize.lr.at(config.schedule.batch);
        let network = Network::starting(device, config, About::of(dataset), weights)?;
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
            rollbacks: Rollbacks::default(),
            numbers: Numbers::new(device, &network.layout)?,
            watcher: None,
            params,
            network,
        })
    }

    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    pub fn dataset(&self) -> &Arc<Dataset> {
        &self.dataset
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
        self.read_rollbacks(checkpoints)?;
        Ok(warnings)
    }

    /// As `run`, to the first step whose numbers are not finite.
    pub(super) fn run_on(
        &mut self,
        checkpoints: &Path,
        log: &mut Log,
        stop: &Stop,
    ) -> Result<Outcome> {
        let end = self.schedule.steps;
        let bytes = self.state_bytes();
        let per_epoch = self.schedule.steps_per_epoch;
        let mut saver = Saver::new(checkpoints, &self.config.output, per_epoch, bytes);
        let (device, images, config) = (&self.device, &self.dataset, &self.config);
        let asked = || stop.reason(self.step, saver.reserve()).is_some();
        let stretch = Stretch {
            start: self.step,
            end,
            bad: self.bad,
            asked: &asked,
            first_order: None,
        };
        let mut feed = Feed::start(device, images, config, stretch)?;
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
            self.train_step(feed, &mut steps, log, &mut saver, &asked)?;
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
        saver: &mut Saver,
        asked: Asked,
    ) -> Result<()> {
        let Some(fed) = feed.fetch(asked)? else {
            return Ok(());
        };
        self.bad = feed.bad();
        log.bad(&fed.bad);
        let lr = self.lr();
        let made = self.step_on(feed, steps, fed.epoch)?;
        if log.shows_views(self.step, self.schedule.steps_per_epoch) {
            log.views(self.step, feed.shown(&self.scalars, board::IMAGES));
        }
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
        saver.catch_up(self.step, log);
        let moved = self.moved(steps.phase).clone();
        self.numbers.add(&made, &moved, step, fed.ids)?;
        if self.numbers.is_full() || line_is_due {
            self.numbers.settle(log)?;
        }
        if let (Some(seen), Some(loss)) = (collapse, log.loss) {
            let warning = self.monitor.judge(&seen, loss as f32, self.step);
            warning.iter().for_each(|warning| log.warn(warning));
        }
        Ok(())
    }

    /// Of the next step.
    pub(super) fn lr(&self) -> f64 {
        self.schedule.lr(self.step) * self.rollbacks.factor(self.step)
    }

    /// The next step on the images last fetched, which are of `epoch`.
    pub(super) fn step_on(&mut self, feed: &Feed, steps: &mut Steps, epoch: u32) -> Result<Made> {
        #[cfg(feature = "fault")]
        self.plant()?;
        let lr = self.lr();
        let per_epoch = self.schedule.steps_per_epoch;
        let phase = self.network.method.begin(self.step, per_epoch);
        self.scalars
            .set(epoch, self.step, [lr, lr * self.vector_lr])?;
        let made = self.advance(feed, steps, phase)?;
        self.step += 1;
        Ok(made)
    }

    /// A whole step on the device, from the images fetched to the weights moved. The same launches with
    /// the same numbers in every step: what differs is read from `scalars` and the feed's memory.
    pub(super) fn launch(&mut self, feed: &Feed, phase: Phase) -> Result<Made> {
        let batch = feed.batch(&self.scalars)?;
        #[cfg(feature = "fault")]
        planted::nan(Place::Pixels, self.step + 1, &batch.views[0])?;
        let objective = match self.config.method.accumulate_exact {
            1 => {
                let mut pass = Pass::train(&self.params);
                if let Some(watcher) = &self.watcher {
                    batch
                        .views
                        .iter()
                        .for_each(|views| watcher("the views", views));
                    pass.tape.watch(watcher.clone());
                }
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
        #[cfg(feature = "fault")]
        {
            planted::nan(Place::Loss, self.step + 1, &objective.loss.value)?;
            planted::nan(Place::Gradient, self.step + 1, &self.gradients)?;
        }
        let moved = optimize::step(
            &self.params.values,
            self.params.reals(),
            &self.gradients,
            &self.velocities,
            self.moved(phase),
            &self.rule,
        )?;
        let Params {
            values, statistics, ..
        } = &self.params;
        Ok(Made {
            loss: objective.loss.value,
            moved,
            norms: self.numbers.norms(values, statistics)?,
            embeddings: objective.embeddings,
            codes: objective.codes,
        })
    }

    /// What moves in `phase`.
    fn moved(&self, phase: Phase) -> &Segments {
        match &self.unfrozen {
            Some(unfrozen) if phase.frozen => unfrozen,
            _ => &self.segments,
        }
    }
}

/// Of the tensors that `spare_vectors` spares, as a share of the others'.
fn vector_lr(o: &config::Optimize, batch: usize) -> f64 {
    o.vector_lr
        .map_or(1.0, |other| other.at(batch) / o.lr.at(batch))
}
