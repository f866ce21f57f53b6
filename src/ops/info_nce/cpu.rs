//! InfoNCE's definition on the CPU: similarities of a few queries at a time with a range of negatives.
use crate::{
    device::{
        Host, Matrix, MatrixMut, host_matmul,
        kernels::{
            InfoNceBackward, InfoNceForward, InfoNceKeyGradient, InfoNceLoss, InfoNcePositive,
            InfoNceQueryGradient,
        },
    },
    ops::nt_xent::cpu::{HOST_ROWS, columns, log_sum_exp, normalised, similarities},
};
use rayon::prelude::*;

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn inv_norm(row: &[f32]) -> f32 {
    1.0 / dot(row, row).sqrt().max(1e-12)
}

pub(super) fn positive(p: &InfoNcePositive, memory: &Host) {
    let (rows, d) = (p.rows as usize, p.d as usize);
    let [q, k] = [p.q, p.k].map(|x| memory.read::<f32>(x, rows * d));
    let q_inv_norm = memory.write::<f32>(p.q_inv_norm, rows);
    let k_inv_norm = memory.write::<f32>(p.k_inv_norm, rows);
    let positive = memory.write::<f32>(p.positive, rows);
    for (row, (q, k)) in q.chunks_exact(d).zip(k.chunks_exact(d)).enumerate() {
        q_inv_norm[row] = inv_norm(q);
        k_inv_norm[row] = inv_norm(k);
        positive[row] = dot(q, k) * q_inv_norm[row] * k_inv_norm[row] / p.temperature;
    }
}

/// A few rows of one range's share of `all` (splits, rows, width).
struct Task<'a> {
    split: usize,
    row: usize,
    share: &'a mut [f32],
}

fn tasks(all: &mut [f32], rows: usize, width: usize) -> Vec<Task<'_>> {
    let splits = all.chunks_exact_mut(rows * width).enumerate();
    let tasks = splits.flat_map(|(split, all)| {
        let tiles = all.chunks_mut(HOST_ROWS * width).enumerate();
        tiles.map(move |(tile, share)| Task {
            split,
            row: tile * HOST_ROWS,
            share,
        })
    });
    tasks.collect()
}

pub(super) fn forward(p: &InfoNceForward, memory: &Host) {
    let (rows, count, d) = (p.rows as usize, p.count as usize, p.d as usize);
    let q = normalised(memory, p.q, p.inv_norm, rows, d);
    let negatives = memory.read::<f32>(p.negatives, count * d);
    let lse = memory.write::<f32>(p.lse, p.splits as usize * rows);
    let tasks = tasks(lse, rows, 1);
    tasks
        .into_par_iter()
        .for_each(|Task { split, row, share }| {
            let range = columns(split, p.range, count);
            let q = &q[row * d..][..share.len() * d];
            let mut s = similarities(q, &negatives[range.start * d..range.end * d], d);
            for (lse, s) in share.iter_mut().zip(s.chunks_exact_mut(range.len())) {
                s.iter_mut().for_each(|s| *s /= p.temperature);
                *lse = log_sum_exp(s);
            }
        });
}

pub(super) fn loss(p: &InfoNceLoss, memory: &Host) {
    let (rows, splits) = (p.rows as usize, p.splits as usize);
    let parts = memory.read::<f32>(p.parts, splits * rows);
    let positive = memory.read::<f32>(p.positive, rows);
    let lse = memory.write::<f32>(p.lse, rows);
    let mut sum = 0.0;
    for row in 0..rows {
        let parts = (0..splits).map(|split| parts[split * rows + row]);
        let all: Vec<f32> = parts.chain([positive[row]]).collect();
        lse[row] = log_sum_exp(&all);
        sum += (lse[row] - positive[row]) as f64;
    }
    memory.write::<f32>(p.loss, 1)[0] = (sum / rows as f64) as f32;
}

pub(super) fn backward(p: &InfoNceBackward, memory: &Host) {
    let (rows, count, d) = (p.rows as usize, p.count as usize, p.d as usize);
    let q = normalised(memory, p.q, p.inv_norm, rows, d);
    let negatives = memory.read::<f32>(p.negatives, count * d);
    let lse = memory.read::<f32>(p.lse, rows);
    let sums = memory.write::<f32>(p.sums, p.splits as usize * rows * d);
    let tasks = tasks(sums, rows, d);
    tasks
        .into_par_iter()
        .for_each(|Task { split, row, share }| {
            let (range, n) = (columns(split, p.range, count), share.len() / d);
            let negatives = &negatives[range.start * d..range.end * d];
            let mut weights = similarities(&q[row * d..][..n * d], negatives, d);
            for (s, lse) in weights.chunks_exact_mut(range.len()).zip(&lse[row..]) {
                s.iter_mut()
                    .for_each(|s| *s = (*s / p.temperature - lse).exp());
            }
            let weights = Matrix::new(&weights, n, range.len());
            let negatives = Matrix::new(negatives, range.len(), d);
            host_matmul(MatrixMut::new(share, n, d), weights, negatives, false);
        });
}

pub(super) fn query_gradient(p: &InfoNceQueryGradient, memory: &Host) {
    let (rows, d, splits) = (p.rows as usize, p.d as usize, p.splits as usize);
    let [q, k] = [p.q, p.k].map(|x| memory.read::<f32>(x, rows * d));
    let [q_inv_norm, k_inv_norm] =
        [p.q_inv_norm, p.k_inv_norm].map(|x| memory.read::<f32>(x, rows));
    let [positive, lse] = [p.positive, p.lse].map(|x| memory.read::<f32>(x, rows));
    let scale = memory.read::<f32>(p.dy, 1)[0] / (rows as f32 * p.temperature);
    let (whole, others) = memory
        .write::<f32>(p.sums, splits * rows * d)
        .split_at_mut(rows * d);
    let dq = memory.write::<f32>(p.dq, rows * d);
    let rows_of = whole.par_chunks_mut(d).zip(dq.par_chunks_mut(d));
    rows_of.enumerate().for_each(|(row, (sum, dq))| {
        let (q, k) = (&q[row * d..][..d], &k[row * d..][..d]);
        for other in others.chunks_exact(rows * d) {
            let other = &other[row * d..][..d];
            sum.iter_mut()
                .zip(other)
                .for_each(|(sum, other)| *sum += other);
        }
        let weight = ((positive[row] - lse[row]).exp() - 1.0) * k_inv_norm[row];
        sum.iter_mut()
            .zip(k)
            .for_each(|(sum, k)| *sum += weight * k);
        let inv_norm = q_inv_norm[row];
        let along = dot(q, sum) * inv_norm;
        for ((dq, sum), q) in dq.iter_mut().zip(sum).zip(q) {
            *dq = scale * inv_norm * (*sum - q * inv_norm * along);
        }
    });
}

pub(super) fn key_gradient(p: &InfoNceKeyGradient, memory: &Host) {
    let (rows, d) = (p.rows as usize, p.d as usize);
    let [q, k] = [p.q, p.k].map(|x| memory.read::<f32>(x, rows * d));
    let [q_inv_norm, k_inv_norm] =
        [p.q_inv_norm, p.k_inv_norm].map(|x| memory.read::<f32>(x, rows));
    let [positive, lse] = [p.positive, p.lse].map(|x| memory.read::<f32>(x, rows));
    let scale = memory.read::<f32>(p.dy, 1)[0] / (rows as f32 * p.temperature);
    let dk = memory.write::<f32>(p.dk, rows * d);
    for (row, dk) in dk.chunks_exact_mut(d).enumerate() {
        let (q, k) = (&q[row * d..][..d], &k[row * d..][..d]);
        let scale = scale * ((positive[row] - lse[row]).exp() - 1.0) * k_inv_norm[row];
        let along = positive[row] * p.temperature * k_inv_norm[row];
        for ((dk, q), k) in dk.iter_mut().zip(q).zip(k) {
            *dk = scale * (q * q_inv_norm[row] - k * along);
        }
    }
}
