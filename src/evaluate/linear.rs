//! The linear probe: softmax regression on frozen features. Where a plan has several learning rates,
//! each is tried with a tenth of the training images held out, then the classifier is trained again on
//! all of them; where it has one, nothing is held out.
//!
//! Every rate of the search has its own classifier, and all are trained at once: their weights stand
//! side by side, so that a step is two matrix products however many there are. Work is split over rows
//! only, never over a sum: the number of threads changes nothing.
mod heads;
mod scaling;

use super::{Features, Score};
use crate::data::sampler::permutation;
use crate::random::{Draws, Purpose};
use heads::Heads;
use scaling::Standard;
use std::f64::consts::PI;

#[derive(Clone, Debug, PartialEq)]
pub struct LinearPlan {
    pub epochs: u32,
    /// Images a step; all of them where there are fewer.
    pub batch: usize,
    /// Tried in order; the first of equals is taken.
    pub rates: Vec<f32>,
    pub decay: RateDecay,
    pub momentum: f32,
    pub nesterov: bool,
    /// Of every weight, the bias's too: as PyTorch's SGD and SimCLR's TensorFlow have it.
    pub weight_decay: f32,
    pub init: HeadInit,
    pub scaling: Scaling,
    /// Decides the held-out tenth, the order of the images and the first weights.
    pub seed: u64,
}

/// What the learning rate is multiplied by as training goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RateDecay {
    /// Half a cosine to 0, step by step.
    Cosine,
    /// `by` at each of the epochs `at`, counted in a training of `of`: a shorter one decays as often.
    Steps {
        at: &'static [u32],
        of: u32,
        by: f64,
    },
}

/// A classifier's first weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HeadInit {
    Zero,
    /// Normal with this deviation; the bias 0.
    Normal(f32),
    /// PyTorch's: weights and bias uniform within 1 / sqrt(inputs).
    Uniform,
}

/// What is done to the features first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scaling {
    /// Nothing.
    Raw,
    /// The training mean subtracted, divided by the training deviation: a batch norm without scale and
    /// shift, whose statistics are of all images. Of every feature.
    Standardised,
    /// The same of every channel, where a row holds this many channels at each place of a map.
    Channels(usize),
}

/// The default of `eval linear`.
impl Default for LinearPlan {
    fn default() -> Self {
        LinearPlan {
            epochs: 100,
            batch: 256,
            rates: vec![0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0],
            decay: RateDecay::Cosine,
            momentum: 0.9,
            nesterov: false,
            weight_decay: 0.0,
            init: HeadInit::Zero,
            scaling: Scaling::Standardised,
            seed: 0,
        }
    }
}

impl LinearPlan {
    /// Epochs it trains, the search's counted.
    pub fn all_epochs(&self) -> u32 {
        match self.rates.len() {
            1 => self.epochs,
            _ => 2 * self.epochs,
        }
    }
}

impl RateDecay {
    /// After `done` of `steps` steps, `per_epoch` of them an epoch.
    pub fn factor(&self, done: usize, per_epoch: usize, steps: usize) -> f64 {
        match *self {
            RateDecay::Cosine => 0.5 * (1.0 + (PI * done as f64 / steps as f64).cos()),
            RateDecay::Steps { at, of, by } => {
                let (epoch, epochs) = (done / per_epoch, steps / per_epoch);
                let passed = |&&at: &&u32| epoch * of as usize >= at as usize * epochs;
                by.powi(at.iter().filter(passed).count() as i32)
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct LinearOutcome {
    pub score: Score,
    /// As in [`Judged`].
    pub confusion: Vec<(u32, u32, u32)>,
    pub rate: f32,
    /// Top-1 on the held-out tenth for each rate, in percent; empty where there was nothing to choose.
    pub tried: Vec<(f32, f64)>,
}

/// Trains on `train`, judges on `val`. Labels are below `classes`; `progress(done, of)` counts epochs.
pub fn linear(
    train: Features,
    val: Features,
    classes: usize,
    plan: &LinearPlan,
    progress: &dyn Fn(u32, u32),
) -> LinearOutcome {
    assert_eq!(train.dim, val.dim, "linear: features of two lengths");
    assert!(!plan.rates.is_empty(), "linear: no learning rate");
    let scale = Standard::of(train, plan.scaling);
    let fit = Fit {
        train,
        classes,
        scale: &scale,
        plan,
    };
    let (mut tried, mut before) = (Vec::new(), 0);
    if plan.rates.len() > 1 {
        tried = fit.search(&|done| progress(done, plan.all_epochs()));
        before = plan.epochs;
    }
    let first_best = |best: (f32, f64), &tried: &(f32, f64)| match tried.1 > best.1 {
        true => tried,
        false => best,
    };
    let rate = match tried.first() {
        None => plan.rates[0],
        Some(&first) => tried.iter().fold(first, first_best).0,
    };
    let all: Vec<u32> = (0..train.len() as u32).collect();
    let heads = fit.heads(&all, &[rate], &|done| {
        progress(before + done, plan.all_epochs())
    });
    let images: Vec<u32> = (0..val.len() as u32).collect();
    let judged = heads.judge(val, &images, &scale).swap_remove(0);
    LinearOutcome {
        score: judged.score,
        confusion: judged.confusion,
        rate,
        tried,
    }
}

/// The images to train on and the tenth held out, both ascending.
fn split(seed: u64, images: usize) -> (Vec<u32>, Vec<u32>) {
    let draw = |i: u32| Draws::new(seed, Purpose::Split, 0, i, 0).bits();
    let mut order: Vec<u32> = (0..images as u32).collect();
    order.sort_by_key(|&i| (draw(i), i));
    let (held_out, kept) = order.split_at((images / 10).max(1));
    let sorted = |part: &[u32]| {
        let mut part = part.to_vec();
        part.sort_unstable();
        part
    };
    (sorted(kept), sorted(held_out))
}

/// What every training of one probe shares.
struct Fit<'a> {
    train: Features<'a>,
    classes: usize,
    scale: &'a Standard,
    plan: &'a LinearPlan,
}

impl Fit<'_> {
    /// Each rate, and its top-1 on the tenth that it was not trained on.
    fn search(&self, progress: &dyn Fn(u32)) -> Vec<(f32, f64)> {
        assert!(self.train.len() >= 2, "linear: nothing can be held out");
        let (kept, held_out) = split(self.plan.seed, self.train.len());
        let heads = self.heads(&kept, &self.plan.rates, progress);
        let judged = heads.judge(self.train, &held_out, self.scale);
        let rates = self.plan.rates.iter().copied();
        rates
            .zip(judged.iter().map(|judged| judged.score.top1))
            .collect()
    }

    /// Classifiers trained on `images`, one a rate; `progress(epochs done)`.
    fn heads(&self, images: &[u32], rates: &[f32], progress: &dyn Fn(u32)) -> Heads {
        let (train, plan) = (self.train, self.plan);
        let mut heads = Heads::new(train.dim, self.classes, rates, plan);
        let batch = plan.batch.min(images.len());
        let per_epoch = images.len().div_ceil(batch);
        let steps = plan.epochs as usize * per_epoch;
        let mut step = 0;
        for epoch in 0..plan.epochs {
            let order = permutation(plan.seed, epoch, images.len());
            let order: Vec<u32> = order.iter().map(|&i| images[i as usize]).collect();
            for chosen in order.chunks(batch) {
                let x = self.scale.gather(train, chosen);
                let labels: Vec<u32> = chosen.iter().map(|&i| train.labels[i as usize]).collect();
                let factor = plan.decay.factor(step, per_epoch, steps);
                heads.step(&x, &labels, factor as f32);
                step += 1;
            }
            progress(epoch + 1);
        }
        heads
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_fall_at_the_papers_epochs_and_in_a_shorter_training_as_often() {
        let steps = RateDecay::Steps {
            at: &[60, 80],
            of: 100,
            by: 0.1,
        };
        let at_epoch = |epoch: usize, epochs: usize| steps.factor(epoch * 7, 7, epochs * 7);
        for (epoch, epochs, factor) in [
            (0, 100, 1.0),
            (59, 100, 1.0),
            (60, 100, 0.1),
            (79, 100, 0.1),
            (80, 100, 0.01),
            (5, 10, 1.0),
            (6, 10, 0.1),
            (8, 10, 0.01),
        ] {
            let got = at_epoch(epoch, epochs);
            assert!(
                (got - factor).abs() < 1e-12,
                "epoch {epoch} of {epochs}: {got}"
            );
        }
    }

    #[test]
    fn a_cosine_falls_from_one_by_half_in_the_middle() {
        let factor = |step| RateDecay::Cosine.factor(step, 10, 100);
        assert_eq!(factor(0), 1.0);
        assert!((factor(50) - 0.5).abs() < 1e-12);
        assert!(factor(99) < 0.001);
    }
}
