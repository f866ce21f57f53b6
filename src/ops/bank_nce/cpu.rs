//! The kernels' definitions. A row's sums are made by one thread, in an order that its length fixes.
use crate::device::{
    Host,
    kernels::{BankNceBackward, BankNceConstant, BankNceLoss, BankNceScores, BankNceSoftmaxLoss},
};
use rayon::prelude::*;

/// ε of the formula, as in bank_nce.cu.
const EPSILON: f32 = f32::EPSILON;

/// What is gathered from: any row of the bank may be a candidate.
struct Rows<'a> {
    bank: &'a [f32],
    positives: &'a [u32],
    negatives: &'a [u32],
    columns: usize,
    d: usize,
}

impl Rows<'_> {
    fn at(&self, row: usize, column: usize) -> &[f32] {
        let image = match column {
            0 => self.positives[row],
            _ => self.negatives[row * (self.columns - 1) + column - 1],
        };
        &self.bank[image as usize * self.d..][..self.d]
    }
}

/// <a, b>, in sixteen lanes, so that the compiler makes vectors of them.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut lanes = [0.0f32; LANES];
    let ((a, a_left), (b, b_left)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        (0..LANES).for_each(|lane| lanes[lane] += a[lane] * b[lane]);
    }
    let left: f32 = a_left.iter().zip(b_left).map(|(a, b)| a * b).sum();
    lanes.iter().sum::<f32>() + left
}

pub(super) fn scores(k: &BankNceScores, memory: &Host) {
    let (rows, columns) = (k.rows as usize, k.columns as usize);
    let (images, d) = (k.images as usize, k.d as usize);
    let v = memory.read::<f32>(k.v, rows * d);
    let candidates = Rows {
        bank: memory.read(k.bank, images * d),
        positives: memory.read(k.positives, rows),
        negatives: memory.read(k.negatives, rows * (columns - 1)),
        columns,
        d,
    };
    let inv_norm = memory.write::<f32>(k.inv_norm, rows);
    let scores = memory.write::<f32>(k.scores, rows * columns);
    scores
        .par_chunks_exact_mut(columns)
        .zip(inv_norm)
        .enumerate()
        .for_each(|(row, (scores, inv_norm))| {
            let v = &v[row * d..][..d];
            *inv_norm = 1.0 / dot(v, v).sqrt().max(1e-12);
            for (column, score) in scores.iter_mut().enumerate() {
                *score = dot(v, candidates.at(row, column)) * *inv_norm;
            }
        });
}

pub(super) fn constant(k: &BankNceConstant, memory: &Host) {
    let constant = &mut memory.write::<f32>(k.constant, 1)[0];
    if *constant != 0.0 {
        return;
    }
    let scores = memory.read::<f32>(k.scores, k.n as usize).iter();
    let sum: f64 = scores.map(|s| (s / k.temperature).exp() as f64).sum();
    *constant = (k.images as f64 * sum / k.n as f64) as f32;
}

pub(super) fn nce_loss(k: &BankNceLoss, memory: &Host) {
    let (rows, columns) = (k.rows as usize, k.columns as usize);
    let log_constant = memory.read::<f32>(k.constant, 1)[0].ln();
    let scores = memory.read::<f32>(k.scores, rows * columns);
    let losses = memory.write::<f32>(k.losses, rows);
    losses
        .par_iter_mut()
        .zip(scores.par_chunks_exact(columns))
        .for_each(|(loss, scores)| {
            let log_x = |s: f32| s / k.temperature - log_constant;
            let own = log_x(scores[0]);
            let positive = (own.exp() + k.noise + EPSILON).ln() - own;
            let negative = |&s: &f32| ((log_x(s).exp() + EPSILON) / k.noise).ln_1p() as f64;
            *loss = positive + scores[1..].iter().map(negative).sum::<f64>() as f32;
        });
}

pub(super) fn softmax_loss(k: &BankNceSoftmaxLoss, memory: &Host) {
    let (rows, columns) = (k.rows as usize, k.columns as usize);
    let scores = memory.read::<f32>(k.scores, rows * columns);
    let lse = memory.write::<f32>(k.lse, rows);
    let losses = memory.write::<f32>(k.losses, rows);
    lse.par_iter_mut()
        .zip(losses)
        .zip(scores.par_chunks_exact(columns))
        .for_each(|((lse, loss), scores)| {
            let most = scores.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
            let exp = |s: &f32| ((s - most) / k.temperature).exp();
            *lse = most / k.temperature + scores.iter().map(exp).sum::<f32>().ln();
            *loss = *lse - scores[0] / k.temperature;
        });
}

pub(super) fn backward(k: &BankNceBackward, memory: &Host) {
    let (rows, columns, range) = (k.rows as usize, k.columns as usize, k.range as usize);
    let (images, d) = (k.images as usize, k.d as usize);
    let candidates = Rows {
        bank: memory.read(k.bank, images * d),
        positives: memory.read(k.positives, rows),
        negatives: memory.read(k.negatives, rows * (columns - 1)),
        columns,
        d,
    };
    let scores = memory.read::<f32>(k.scores, rows * columns);
    let softmax = !k.lse.is_null();
    let lse = memory.read::<f32>(k.lse, if softmax { rows } else { 0 });
    let constant = memory.read::<f32>(k.constant, if softmax { 0 } else { 1 });
    let own = |row: usize, column: usize| {
        let s = scores[row * columns + column] / k.temperature;
        if softmax {
            return (s - lse[row]).exp();
        }
        let x = (s - constant[0].ln()).exp();
        x / (x + k.noise + EPSILON)
    };
    let sums = memory.write::<f32>(k.sums, columns.div_ceil(range) * rows * d);
    let pieces = sums.par_chunks_exact_mut(d).enumerate();
    pieces.for_each(|(piece, sum)| {
        let (split, row) = (piece / rows, piece % rows);
        sum.fill(0.0);
        for column in split * range..columns.min((split + 1) * range) {
            let g = own(row, column) - if column == 0 { 1.0 } else { 0.0 };
            let m = candidates.at(row, column);
            sum.iter_mut().zip(m).for_each(|(sum, m)| *sum += g * m);
        }
    });
}
