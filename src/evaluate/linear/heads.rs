//! Softmax classifiers trained side by side by momentum SGD.
use super::{HeadInit, LinearPlan, scaling::Standard};
use crate::device::{Matrix, MatrixMut, host_matmul};
use crate::evaluate::{Features, Judged, Verdict};
use crate::random::{Draws, Purpose};
use rayon::prelude::*;

/// Classifiers side by side, one a learning rate.
pub struct Heads {
    /// (inputs, rates * classes), the last input the bias.
    weights: Vec<f32>,
    velocity: Vec<f32>,
    inputs: usize,
    classes: usize,
    rates: Vec<f32>,
    momentum: f32,
    nesterov: bool,
    weight_decay: f32,
}

const ROWS: usize = 32; // rows of a matrix product a task

impl Heads {
    /// Of `dim` features and a bias; all start from the same weights.
    pub fn new(dim: usize, classes: usize, rates: &[f32], plan: &LinearPlan) -> Heads {
        let mut draws = Draws::new(plan.seed, Purpose::Init, 0, 0, 0);
        let bound = 1.0 / (dim as f32).sqrt();
        let mut weight = |is_bias: bool| match plan.init {
            HeadInit::Zero => 0.0,
            HeadInit::Normal(_) if is_bias => 0.0,
            HeadInit::Normal(deviation) => deviation * draws.normal(),
            HeadInit::Uniform => draws.uniform(-bound, bound),
        };
        let mut weights = Vec::with_capacity((dim + 1) * classes * rates.len());
        for input in 0..=dim {
            let row: Vec<f32> = (0..classes).map(|_| weight(input == dim)).collect();
            rates.iter().for_each(|_| weights.extend(&row));
        }
        Heads {
            velocity: vec![0.0; weights.len()],
            weights,
            inputs: dim + 1,
            classes,
            rates: rates.to_vec(),
            momentum: plan.momentum,
            nesterov: plan.nesterov,
            weight_decay: plan.weight_decay,
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

    /// One step on the mean cross-entropy of each head; rates are multiplied by `factor`.
    pub fn step(&mut self, x: &[f32], labels: &[u32], factor: f32) {
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
        let (rates, momentum, decay) = (&self.rates, self.momentum, self.weight_decay);
        // lr (step + momentum velocity) is lr velocity where these are 0 and 1.
        let (now, later) = match self.nesterov {
            false => (0.0, 1.0),
            true => (1.0, momentum),
        };
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
                    let g = g + decay * *w;
                    *v = momentum * *v + g;
                    *w -= rates[i % cols / classes] * factor * (now * g + later * *v);
                }
            });
    }

    /// What each head says of rows `images` of `features`.
    pub fn judge(&self, features: Features, images: &[u32], scale: &Standard) -> Vec<Judged> {
        let heads = self.rates.len();
        let mut verdicts = vec![Vec::with_capacity(images.len()); heads];
        for images in images.chunks(1024) {
            let logits = self.logits(&scale.gather(features, images));
            for (row, &image) in logits.chunks_exact(self.cols()).zip(images) {
                let label = features.labels[image as usize];
                let by_head = row.chunks_exact(self.classes).zip(&mut verdicts);
                by_head.for_each(|(logits, verdicts)| verdicts.push(Verdict::of(logits, label)));
            }
        }
        verdicts.iter().map(|all| Judged::of(all)).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::Scaling;

    /// Two steps on x = 1 and label 0 of two classes, against the same written out. Both weights of a
    /// class move alike, its own and its bias's, and those of the other class the other way: the logits
    /// differ by four times one weight.
    #[test]
    fn steps_decay_and_look_ahead_as_written() {
        for nesterov in [false, true] {
            let plan = LinearPlan {
                nesterov,
                weight_decay: 0.25,
                scaling: Scaling::Raw,
                ..LinearPlan::default()
            };
            let mut heads = Heads::new(1, 2, &[1.0, 0.5], &plan);
            let (mut w, mut v) = ([0.0f64; 2], [0.0f64; 2]);
            for factor in [1.0, 0.5] {
                heads.step(&[1.0; 6], &[0; 3], factor);
                for (head, rate) in [1.0, 0.5].into_iter().enumerate() {
                    let right = 1.0 / (1.0 + (-4.0 * w[head]).exp());
                    let g = right - 1.0 + 0.25 * w[head];
                    v[head] = 0.9 * v[head] + g;
                    let ahead = if nesterov { g + 0.9 * v[head] } else { v[head] };
                    w[head] -= rate * factor as f64 * ahead;
                }
            }
            let wanted = [w[0], -w[0], w[1], -w[1]].repeat(2);
            for (got, wanted) in heads.weights.iter().zip(wanted) {
                assert!((*got as f64 - wanted).abs() < 1e-6, "{:?}", heads.weights);
            }
        }
    }

    #[test]
    fn first_weights_are_the_same_for_every_rate_and_as_the_plan_has_them() {
        let first = |init| {
            let plan = LinearPlan {
                init,
                ..LinearPlan::default()
            };
            Heads::new(400, 3, &[1.0, 2.0], &plan).weights
        };
        assert!(first(HeadInit::Zero).iter().all(|&w| w == 0.0));
        let normal = first(HeadInit::Normal(0.01));
        for row in normal.chunks_exact(6) {
            assert_eq!(row[..3], row[3..]);
        }
        assert_eq!(normal[400 * 6..], [0.0; 6]); // the bias
        let square = normal.iter().map(|w| w * w).sum::<f32>() / 2400.0;
        assert!((0.009..0.011).contains(&square.sqrt()), "{square}");
        let uniform = first(HeadInit::Uniform);
        assert!(uniform.iter().all(|w| w.abs() <= 0.05)); // 1 / sqrt(400)
        assert!(uniform.iter().any(|w| w.abs() > 0.045));
        assert!(uniform[400 * 6..].iter().all(|&w| w != 0.0));
    }
}
