//! What a run takes, known before it begins: its steps are launched on a device that runs nothing and
//! makes the same choices, so memory is not estimated but added up.
use super::{
    feed::Feed,
    steps::{Steps, WARM_UP},
    trainer::Trainer,
};
use crate::{Device, Error, Result, config::Config, data::Dataset, methods::Phase};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// In bytes, of the device where nothing else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// In use between steps: weights, gradients, momentum, what the method remembers, images and buffers.
    pub standing: u64,
    /// In use at most.
    pub peak: u64,
    /// Asked of the driver: more than the peak by what is kept by size to be used again.
    pub held: u64,
    /// Of a checkpoint, on the disk.
    pub checkpoint: u64,
    /// Floating-point operations of a step.
    pub flops: u64,
}

/// Batches above this are not searched for.
const LARGEST: usize = 8192;

/// Of a run under `config` on `device`, from its first step to its last. `None` where that is several times
/// as much as `have` bytes: a step so large may be more than kernels can count.
pub fn need(
    device: &Device,
    config: &Config,
    dataset: &Arc<Dataset>,
    have: u64,
) -> Result<Option<Need>> {
    let device = device.rehearsal(have.saturating_mul(4));
    let rehearsed = Trainer::new(&device, config, dataset).and_then(|mut t| t.rehearse());
    match rehearsed {
        Err(Error::OutOfMemory { .. }) => Ok(None),
        other => other.map(Some),
    }
}

/// The largest batch that needs no more than `have` bytes and goes with the rest of `config`: of multiples
/// of 8, up to 8192. `None` where not even the smallest does.
pub fn largest_batch(
    device: &Device,
    config: &Config,
    dataset: &Arc<Dataset>,
    have: u64,
) -> Result<Option<usize>> {
    let with = |batch| {
        let mut config = config.clone();
        config.schedule.batch = batch;
        config
    };
    let most = dataset.len().min(LARGEST);
    let goes =
        |batch: &usize| (*batch < 8 || batch.is_multiple_of(8)) && with(*batch).check().is_ok();
    let candidates: Vec<usize> = (2..=most).filter(goes).collect();
    let fits = |place: usize| -> Result<bool> {
        let need = need(device, &with(candidates[place]), dataset, have)?;
        Ok(need.is_some_and(|need| need.peak <= have))
    };
    let place = |batch| candidates.partition_point(|&candidate| candidate <= batch);
    // How many fit; from which on they do not.
    let (mut below, mut above) = (0, place(config.schedule.batch));
    while above < candidates.len() && fits(above)? {
        below = above + 1;
        above = place(2 * candidates[above]).max(below);
    }
    above = above.min(candidates.len());
    while below < above {
        let middle = match below {
            0 => place(candidates[above - 1] / 2).min(above - 1),
            _ => (below + above) / 2,
        };
        match fits(middle)? {
            true => below = middle + 1,
            false => above = middle,
        }
    }
    Ok(below.checked_sub(1).map(|place| candidates[place]))
}

/// What steps take that really run.
#[derive(Clone, Copy, Debug)]
pub struct Speed {
    /// Measured.
    pub steps: u64,
    pub of_step: Duration,
    /// Share of it in which images were waited for.
    pub wait: f64,
}

impl Trainer {
    fn rehearse(&mut self) -> Result<Need> {
        let device = self.device.clone();
        let feed = Feed::blank(&device, self.dataset(), &self.config)?;
        let mut need = Need {
            standing: device.memory().used,
            peak: 0,
            held: 0,
            checkpoint: self.state_bytes(),
            flops: 0,
        };
        let mut steps = Steps::new(self.captures());
        let (mut last, mut launched): (Option<Phase>, u32) = (None, 0);
        for step in 0..self.schedule.steps {
            let per_epoch = self.schedule.steps_per_epoch;
            let phase = self.network.method.begin(step, per_epoch);
            if last != Some(phase) {
                (last, launched) = (Some(phase), 0);
            }
            if launched > WARM_UP + 1 {
                continue; // as the one before
            }
            launched += 1;
            let before = device.work().flops;
            self.advance(&feed, &mut steps, phase)?;
            need.flops = device.work().flops - before;
        }
        let memory = device.memory();
        (need.peak, need.held) = (memory.peak, memory.held);
        Ok(need)
    }

    /// Runs steps for about `time`, at most `most` and at least one, after some that are not counted.
    /// Nothing is saved; the weights have moved.
    pub fn measure(&mut self, time: Duration, most: u64) -> Result<Speed> {
        let warm_up = if self.captures() {
            WARM_UP as u64 + 1
        } else {
            1
        };
        let end = self.step + warm_up + most;
        let mut feed = Feed::patient(&self.device, self.dataset(), &self.config, self.step..end)?;
        let mut steps = Steps::new(self.captures());
        let mut run = |trainer: &mut Trainer| -> Result<Duration> {
            let fed = feed.fetch_patiently()?;
            trainer.step_on(&feed, &mut steps, fed.epoch)?;
            trainer.device.synchronize()?;
            Ok(fed.wait)
        };
        for _ in 0..warm_up {
            run(self)?;
        }
        let (started, mut done, mut waited) = (Instant::now(), 0, Duration::ZERO);
        while done == 0 || (done < most && started.elapsed() < time) {
            waited += run(self)?;
            done += 1;
        }
        let elapsed = started.elapsed();
        Ok(Speed {
            steps: done,
            of_step: elapsed / done as u32,
            wait: waited.as_secs_f64() / elapsed.as_secs_f64(),
        })
    }
}
