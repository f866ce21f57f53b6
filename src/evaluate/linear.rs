//! The linear probe: softmax regression on frozen, standardised features. The learning rate is searched
//! on a held-out tenth of the training images, then the classifier is trained again on all of them.
//!
//! Every rate of the search has its own classifier, and all are trained at once: their weights stand
//! side by side, so that a step is two matrix products however many there are. Work is split over rows
//! only, never over a sum: the number of threads changes nothing.
use super::{Features, Score, rank};
use crate::data::sampler::permutation;
use crate::device::{Matrix, MatrixMut, host_matmul};
use crate::random::{Draws, Purpose};
use rayon::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub struct LinearPlan {
    pub epochs: u32,
    /// Images a step; all of them where there are fewer.
    pub batch: usize,
    /// Tried in order; the first of equals is taken.
    pub rates: Vec<f32>,
    pub momentum: f32,
    /// Decides the held-out tenth and the order of the images.
    pub seed: u64,
}

impl Default for LinearPlan {
    fn default() -> Self {
        LinearPlan {
            epochs: 100,
            batch: 256,
            rates: vec![0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0],
            momentum: 0.9,
            seed: 0,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct LinearOutcome {
    pub score: Score,
    pub rate: f32,
    /// Top-1 on the held-out tenth for each rate, in percent.
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
    assert!(train.len() >= 2, "linear: nothing can be held out");
    let scale = Standard::of(train);
    let (kept, held_out) = split(plan.seed, train.len());
    let epochs = plan.epochs;
    let heads = fit(train, &kept, classes, &scale, plan, &plan.rates, &|done| {
        progress(done, 2 * epochs)
    });
    let judged = heads.judge(train, &held_out, &scale);
    let tried: Vec<(f32, f64)> = plan
        .rates
        .iter()
        .zip(&judged)
        .map(|(&rate, score)| (rate, score.top1))
        .collect();
    let first_best = |best: (f32, f64), &tried: &(f32, f64)| match tried.1 > best.1 {
        true => tried,
        false => best,
    };
    let rate = tried.iter().fold(tried[0], first_best).0;

    let all: Vec<u32> = (0..train.len() as u32).collect();
    let heads = fit(train, &all, classes, &scale, plan, &[rate], &|done| {
        progress(epochs + done, 2 * epochs)
    });
    let images: Vec<u32> = (0..val.len() as u32).collect();
    let score = heads.judge(val, &images, &scale)[0];
    LinearOutcome { score, rate, tried }
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

/// Subtracts the training mean and divides by the training deviation.
struct Standard {
    mean: Vec<f32>,
    /// 0 for a feature that never varies: it says nothing.
    inverse: Vec<f32>,
}

impl Standard {
    fn of(train: Features) -> Standard {
        let (n, dim) = (train.len() as f64, train.dim);
        let mut mean = vec![0.0f64; dim];
        let mut square = vec![0.0f64; dim];
        for row in train.values.chunks_exact(dim) {
            mean.iter_mut().zip(row).for_each(|(m, &x)| *m += x as f64);
        }
        mean.iter_mut().for_each(|m| *m /= n);
        for row in train.values.chunks_exact(dim) {
            let squares = square.iter_mut().zip(row).zip(&mean);
            squares.for_each(|((s, &x), m)| *s += (x as f64 - m).powi(2));
        }
        let inverse = |s: &f64| {
            let deviation = (s / n).sqrt();
            if deviation > 1e-8 {
                1.0 / deviation
            } else {
                0.0
            }
        };
        Standard {
            inverse: square.iter().map(|s| inverse(s) as f32).collect(),
            mean: mean.into_iter().map(|m| m as f32).collect(),
        }
    }

    /// Rows `images`, standardised, with a 1 behind each for the bias: (images.len(), dim + 1).
    fn gather(&self, features: Features, images: &[u32]) -> Vec<f32> {
        let mut rows = Vec::with_capacity(images.len() * (features.dim + 1));
        for &image in images {
            let row = features.row(image as usize).iter();
            let scaled = row.zip(&self.mean).zip(&self.inverse);
            rows.extend(scaled.map(|((x, mean), inverse)| (x - mean) * inverse));
            rows.push(1.0);
        }
        rows
    }
}

/// Classifiers side by side, one a learning rate.
struct Heads {
    /// (inputs, rates * classes), the last input the bias.
    weights: Vec<f32>,
    velocity: Vec<f32>,
    inputs: usize,
    classes: usize,
    rates: Vec<f32>,
}

const ROWS: usize = 32; // rows of a matrix product a task

fn fit(
    train: Features,
    images: &[u32],
    classes: usize,
    scale: &Standard,
    plan: &LinearPlan,
    rates: &[f32],
    progress: &dyn Fn(u32),
) -> Heads {
    let mut heads = Heads::zero(train.dim + 1, classes, rates);
    let batch = plan.batch.min(images.len());
    let steps = plan.epochs as usize * images.len().div_ceil(batch);
    let mut step = 0;
    for epoch in 0..plan.epochs {
        let order = permutation(plan.seed, epoch, images.len());
        let order: Vec<u32> = order.iter().map(|&i| images[i as usize]).collect();
        for chosen in order.chunks(batch) {
            let x = scale.gather(train, chosen);
            let labels: Vec<u32> = chosen.iter().map(|&i| train.labels[i as usize]).collect();
            let cosine = 0.5 * (1.0 + (std::f64::consts::PI * step as f64 / steps as f64).cos());
            heads.step(&x, &labels, cosine as f32, plan.momentum);
            step += 1;
        }
        progress(epoch + 1);
    }
    heads
}

impl Heads {
    fn zero(inputs: usize, classes: usize, rates: &[f32]) -> Heads {
        let len = inputs * classes * rates.len();
        Heads {
            weights: vec![0.0; len],
            velocity: vec![0.0; len],
            inputs,
            classes,
            rates: rates.to_vec(),
        }
    }

    fn cols(&self) -> usize {
        self.rates.len() * self.classes
    }

    /// x (n, inputs) times the weights: (n, rates * classes).
    fn logits(&self, x: &[f32]) -> Vec<f32> {
        let (inputs, cols) = (self.inputs, self.cols());
        let mut logits = vec![0.0; x.len() / inputs * cols];
        let tasks = logits.par_chunks_mut(ROWS * cols);
        tasks.zip(x.par_chunks(ROWS * inputs)).for_each(|(y, x)| {
            let n = x.len() / inputs;
            host_matmul(
                MatrixMut::new(y, n, cols),
                Matrix::new(x, n, inputs),
                Matrix::new(&self.weights, inputs, cols),
                false,
            );
        });
        logits
    }

    /// One step of SGD with momentum on the mean cross-entropy of each head.
    fn step(&mut self, x: &[f32], labels: &[u32], cosine: f32, momentum: f32) {
        let (n, inputs, cols, classes) = (labels.len(), self.inputs, self.cols(), self.classes);
        let mut dy = self.logits(x);
        let rows = dy.par_chunks_mut(cols).zip(labels);
        rows.for_each(|(row, &label)| {
            for head in row.chunks_exact_mut(classes) {
                softmax(head);
                head[label as usize] -= 1.0;
                head.iter_mut().for_each(|p| *p /= n as f32);
            }
        });
        let rates = &self.rates;
        let weights = self.weights.par_chunks_mut(ROWS * cols);
        let velocity = self.velocity.par_chunks_mut(ROWS * cols);
        weights
            .zip(velocity)
            .enumerate()
            .for_each(|(task, (w, v))| {
                let rows = w.len() / cols;
                let mut dw = vec![0.0; w.len()];
                let xt = Matrix {
                    data: &x[task * ROWS..],
                    rows,
                    cols: n,
                    row_stride: 1,
                    col_stride: inputs,
                };
                let dw_out = MatrixMut::new(&mut dw, rows, cols);
                host_matmul(dw_out, xt, Matrix::new(&dy, n, cols), false);
                for (i, ((w, v), g)) in w.iter_mut().zip(v).zip(&dw).enumerate() {
                    *v = momentum * *v + g;
                    *w -= rates[i % cols / classes] * cosine * *v;
                }
            });
    }

    /// Each head's score on rows `images` of `features`.
    fn judge(&self, features: Features, images: &[u32], scale: &Standard) -> Vec<Score> {
        let heads = self.rates.len();
        let mut ranks = vec![Vec::with_capacity(images.len()); heads];
        for images in images.chunks(1024) {
            let logits = self.logits(&scale.gather(features, images));
            for (row, &image) in logits.chunks_exact(self.cols()).zip(images) {
                let label = features.labels[image as usize] as usize;
                let by_head = row.chunks_exact(self.classes).zip(&mut ranks);
                by_head.for_each(|(logits, ranks)| ranks.push(rank(logits, label)));
            }
        }
        ranks.iter().map(|ranks| Score::of(ranks)).collect()
    }
}

fn softmax(logits: &mut [f32]) {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for logit in logits.iter_mut() {
        *logit = (*logit - most).exp();
        sum += *logit;
    }
    logits.iter_mut().for_each(|p| *p /= sum);
}
