//! InfoNCE written out in f64, and what it is asked.
use crate::check::*;
use selfsame::{Device, Tensor};

/// Queries, keys and negatives, of any number and d.
#[derive(Clone, Debug)]
pub struct Case {
    pub rows: usize,
    pub count: usize,
    pub d: usize,
    pub q: Vec<f32>,
    pub k: Vec<f32>,
    pub negatives: Vec<f32>,
}

impl Case {
    /// Lengths differ by powers of two, negatives are of length 1 but for bf16's rounding, and keys are the
    /// queries themselves where `trained`.
    pub fn new(rows: usize, count: usize, d: usize, seed: u64, trained: bool) -> Case {
        let scaled = |mut x: Vec<f32>, exponent: fn(usize) -> i32| {
            for (row, x) in x.chunks_exact_mut(d).enumerate() {
                x.iter_mut().for_each(|x| *x *= 2f32.powi(exponent(row)));
            }
            x
        };
        let q = noise(seed, rows * d);
        let k = if trained {
            q.clone()
        } else {
            noise(seed + 1, rows * d)
        };
        let mut negatives = noise(seed + 2, count * d);
        for row in negatives.chunks_exact_mut(d) {
            let norm = row.iter().map(|m| m * m).sum::<f32>().sqrt().max(1e-3);
            row.iter_mut().for_each(|m| *m = rounded(*m / norm));
        }
        Case {
            rows,
            count,
            d,
            q: scaled(q, |row| (row * 7 % 17) as i32 - 8),
            k: scaled(k, |row| (row * 5 % 13) as i32 - 6),
            negatives,
        }
    }
    pub fn on(&self, device: &Device) -> [Tensor; 3] {
        let new = |rows, x: &[f32]| Tensor::from_slice(device, [rows, self.d], x).unwrap();
        [
            new(self.rows, &self.q),
            new(self.rows, &self.k),
            new(self.count, &self.negatives),
        ]
    }
}

/// The definition, unfused, in f64: normalise, multiply, cross-entropy; its gradients, and how large what
/// each of them is a sum of is.
pub struct Reference {
    pub loss: f64,
    pub gradients: [Vec<f64>; 2],
    pub sizes: [Vec<f64>; 2],
}

pub fn reference(case: &Case, temperature: f64) -> Reference {
    let d = case.d;
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let wide = |x: &[f32]| x.iter().map(|&x| x as f64).collect::<Vec<f64>>();
    let negatives = wide(&case.negatives);
    let mut all = Reference {
        loss: 0.0,
        gradients: Default::default(),
        sizes: Default::default(),
    };
    for (q, k) in case.q.chunks(d).zip(case.k.chunks(d)) {
        let unit = |x: &[f32]| {
            let x = wide(x);
            let norm = dot(&x, &x).sqrt().max(1e-12);
            (x.iter().map(|x| x / norm).collect::<Vec<f64>>(), norm)
        };
        let ((q, q_norm), (k, k_norm)) = (unit(q), unit(k));
        let others = || [&k[..]].into_iter().chain(negatives.chunks(d));
        let s: Vec<f64> = others().map(|other| dot(&q, other) / temperature).collect();
        let most = s.iter().copied().fold(f64::MIN, f64::max);
        let lse = most + s.iter().map(|s| (s - most).exp()).sum::<f64>().ln();
        all.loss += (lse - s[0]) / case.rows as f64;
        let scale = 1.0 / (case.rows as f64 * temperature);
        let (mut dq, mut size) = (vec![0.0; d], vec![0.0; d]);
        for (j, (other, s)) in others().zip(&s).enumerate() {
            let p = (s - lse).exp();
            let ds = scale * (p - f64::from(j == 0));
            let rounded = ds.abs() + 0.1 * scale * p; // p has been rounded before 1 is taken from it
            for c in 0..d {
                dq[c] += ds * other[c];
                size[c] += rounded * other[c].abs();
            }
        }
        let p = (s[0] - lse).exp();
        let dk: Vec<f64> = q.iter().map(|q| scale * (p - 1.0) * q).collect();
        let k_size: Vec<f64> = dk.iter().map(|dk| dk.abs() + 0.1 * scale * p).collect();
        let inputs = [(q, dq, size, q_norm), (k, dk, k_size, k_norm)];
        for (i, (x, dx, size, norm)) in inputs.into_iter().enumerate() {
            let along = dot(&x, &dx);
            let size_along: f64 = x.iter().zip(&size).map(|(x, s)| x.abs() * s).sum();
            for c in 0..d {
                all.gradients[i].push((dx[c] - x[c] * along) / norm);
                all.sizes[i].push((size[c] + x[c].abs() * size_along) / norm);
            }
        }
    }
    all
}
