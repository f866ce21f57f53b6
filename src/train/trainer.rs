//! The loop: feed, loss, backward, optimize, log, checkpoint. It decides nothing about learning.
use super::{
    build::{self, Network},
    checkpoint::{self, Stamp},
    feed::Feed,
    log::{self, Log},
    schedule::Schedule,
    state,
    stop::Stop,
};
use crate::{
    Device, Error, Result, Tensor,
    config::{Config, Every},
    data::{Dataset, sampler::steps_per_epoch},
    nn::{Params, Pass},
    ops::optimize::{self, Segments},
};
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

/// Steps whose losses are read together where reading one waits for the device.
const PATIENCE: usize = 16;

pub struct Trainer {
    pub device: Device,
    pub config: Config,
    pub network: Network,
    pub params: Params,
    pub schedule: Schedule,
    /// Steps done.
    pub step: u64,
    dataset: Arc<Dataset>,
    fingerprint: u64,
    velocities: Tensor,
    gradients: Tensor,
    segments: Segments,
    /// Steps launched whose numbers were not looked at.
    pending: Vec<Pending>,
    /// How many those may be.
    patience: usize,
}

struct Pending {
    loss: Tensor,
    /// f32 (2): the gradient's square, and how many of it are not finite.
    summary: Tensor,
    numbers: log::Step,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// Why. The checkpoint of the step reached is written.
    Stopped(String),
}

impl Trainer {
    /// At step 0.
    pub fn new(device: &Device, config: &Config, dataset: &Arc<Dataset>) -> Result<Trainer> {
        let per_epoch = steps_per_epoch(dataset.len(), config.schedule.batch)?;
        let peak = config.optimize.lr.at(config.schedule.batch);
        let network = Network::new(config);
        let params = Params::new(device, &network.layout, config.schedule.seed)?;
        Ok(Trainer {
            device: device.clone(),
            config: config.clone(),
            schedule: Schedule::new(&config.schedule, peak, per_epoch),
            step: 0,
            dataset: dataset.clone(),
            fingerprint: dataset.fingerprint(),
            velocities: params.zeros()?,
            gradients: params.zeros()?,
            segments: build::segments(device, &network.layout, &config.optimize)?,
            pending: Vec::new(),
            patience: if device.name() == "cpu" { 1 } else { PATIENCE },
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
        if meta.dataset != hash(self.fingerprint) {
            return Err(Error::Data(format!(
                "the images are not those of this run: it had {} and now there are {}, or their names differ\n  a resumed run sees what it would have seen; put them back, or start a new run",
                meta.images,
                self.dataset.len()
            )));
        }
        if meta.config != hash(self.config.hash()) {
            return Err(Error::Config(
                "config.toml was changed in what decides the weights\n  resume keeps them; start a new run with another --out".into(),
            ));
        }
        let method = &mut *self.network.method;
        state::restore(checkpoints, &state, &self.params, &self.velocities, method)?;
        self.step = meta.step;
        Ok(warnings)
    }

    /// Trains to the last step, or to where `stop` says; checkpoints go below `checkpoints`.
    pub fn run(&mut self, checkpoints: &Path, log: &mut Log, stop: &Stop) -> Result<Outcome> {
        let end = self.schedule.steps;
        let mut feed = Feed::start(&self.device, &self.dataset, &self.config, self.step, end)?;
        let mut saver = Saver::new(self.config.output.checkpoint_every);
        let mut step_took = Duration::ZERO;
        log.begin();
        while self.step < end {
            let started = Instant::now();
            let why = stop.reason(self.step, 2 * step_took + saver.took);
            if let Some(why) = why {
                self.settle(log)?;
                self.save_last(checkpoints, log, &mut saver)?;
                return Ok(Outcome::Stopped(why));
            }
            self.train_step(&mut feed, log)?;
            if saver.is_due(self.step) && self.step < end {
                self.settle(log)?;
                self.save(checkpoints, log, &mut saver);
            }
            step_took = started.elapsed();
        }
        self.settle(log)?;
        self.save_last(checkpoints, log, &mut saver)?;
        Ok(Outcome::Done)
    }

    fn train_step(&mut self, feed: &mut Feed, log: &mut Log) -> Result<()> {
        let fed = feed.batch()?;
        log.bad(&fed.bad);
        let lr = self.schedule.lr(self.step);
        let mut pass = Pass::train(&self.params);
        let loss = self.network.method.loss(&mut pass, &fed.batch)?;
        pass.backward(&loss, &self.gradients)?;
        let summary = optimize::step(
            &self.params.values,
            self.params.reals(),
            &self.gradients,
            &self.velocities,
            &self.segments,
            &build::optimizer_step(&self.config.optimize, lr),
        )?;
        self.network.method.after_step(&self.params)?;
        self.step += 1;
        self.pending.push(Pending {
            loss: loss.value,
            summary,
            numbers: log::Step {
                step: self.step,
                epoch: fed.epoch,
                loss: f32::NAN,
                lr,
                gradient_norm: f64::NAN,
                images: fed.batch.images,
                wait: fed.wait,
            },
        });
        let line_is_due = self.step.is_multiple_of(self.config.output.log_every);
        if self.pending.len() >= self.patience || line_is_due {
            self.settle(log)?;
        }
        Ok(())
    }

    /// Looks at the numbers of the steps launched, in order. The first that is no number is an error:
    /// nothing was saved since.
    fn settle(&mut self, log: &mut Log) -> Result<()> {
        for Pending {
            loss,
            summary,
            mut numbers,
        } in self.pending.drain(..)
        {
            let (loss, summary) = (loss.item()?, summary.to_vec()?);
            numbers.loss = loss;
            numbers.gradient_norm = (summary[0] as f64).sqrt();
            if !loss.is_finite() || summary[1] > 0.0 || !numbers.gradient_norm.is_finite() {
                return Err(Error::Numeric(format!(
                    "step {}: loss {loss}, gradient norm {}, {} of the gradient's numbers are not finite\n  the last checkpoint is from before; try a lower --lr, a longer warm-up, or images without constant ones",
                    numbers.step, numbers.gradient_norm, summary[1]
                )));
            }
            log.step(&numbers);
        }
        Ok(())
    }

    /// A disk that is full stops nothing: the checkpoint before is still there, and the next interval
    /// tries again.
    fn save(&mut self, checkpoints: &Path, log: &Log, saver: &mut Saver) {
        if let Err(why) = self.write(checkpoints, saver) {
            log.warn(&format!(
                "[checkpoint]: step {} was not saved, training goes on\n  {why}",
                self.step
            ));
        }
    }

    /// As `save`, where there is no next time.
    fn save_last(&mut self, checkpoints: &Path, log: &Log, saver: &mut Saver) -> Result<()> {
        let Err(why) = self.write(checkpoints, saver) else {
            return Ok(());
        };
        if let Some((step, _)) = checkpoint::list(checkpoints)?.first() {
            log.warn(&format!(
                "[checkpoint]: the last one is of step {step}; make room and resume from it"
            ));
        }
        Err(why)
    }

    fn write(&mut self, checkpoints: &Path, saver: &mut Saver) -> Result<()> {
        let started = Instant::now();
        saver.last = started;
        let method = &mut *self.network.method;
        let state = state::gather(&self.params, &self.velocities, method)?;
        let stamp = Stamp {
            step: self.step,
            config: self.config.hash(),
            dataset: self.fingerprint,
            images: self.dataset.len() as u64,
        };
        checkpoint::write(checkpoints, &stamp, &state, self.config.output.keep)?;
        saver.took = started.elapsed();
        Ok(())
    }
}

/// When to save next.
struct Saver {
    every: Every,
    last: Instant,
    took: Duration,
}

impl Saver {
    fn new(every: Every) -> Saver {
        Saver {
            every,
            last: Instant::now(),
            took: Duration::ZERO,
        }
    }

    fn is_due(&self, step: u64) -> bool {
        match self.every {
            Every::Steps(steps) => step.is_multiple_of(steps),
            Every::Seconds(seconds) => self.last.elapsed() >= Duration::from_secs(seconds),
        }
    }
}
