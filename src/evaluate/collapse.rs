//! Whether an encoder has collapsed: the arithmetic of a monitor. What it is given are embeddings (n, d),
//! the outputs of a head in training, and a cluster method's codes (n, K); a few hundred rows say enough.
mod eigenvalues;
mod verdict;

pub use verdict::{Family, is_at_chance};

use super::l2_normalized;
use eigenvalues::symmetric_eigenvalues;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Collapse {
    /// Of the embeddings made length 1: the deviation over the rows, the mean over the dimensions, times
    /// sqrt(d). 1 where they are uniform on the sphere, 0 where all are the same.
    pub spread: f32,
    /// Between different rows.
    pub mean_cosine: f32,
    /// exp of the entropy of the singular values of the rows of length 1, scaled to sum to 1 (Roy and
    /// Vetterli 2007, "The effective rank"): 1 to min(n, d).
    pub effective_rank: f32,
    /// min(n, d).
    pub full_rank: usize,
    /// Entropy of the mean code, in nats: ln K where every prototype is used alike, 0 where one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_entropy: Option<f32>,
    /// Its share of ln K.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_share: Option<f32>,
}

impl Collapse {
    /// Of embeddings (n, `dim`), n at least 2; `codes` are (n, K) with rows that sum to 1, and K.
    pub fn of(embeddings: &[f32], dim: usize, codes: Option<(&[f32], usize)>) -> Collapse {
        let n = embeddings.len() / dim;
        assert!(n >= 2 && embeddings.len() == n * dim, "collapse: rows");
        let rows = l2_normalized(embeddings, dim);
        let usage = codes.map(|(codes, k)| usage_entropy(codes, k));
        Collapse {
            spread: spread(&rows, dim) as f32,
            mean_cosine: mean_cosine(&rows, dim) as f32,
            effective_rank: effective_rank(&rows, dim) as f32,
            full_rank: n.min(dim),
            usage_entropy: usage.map(|(entropy, _)| entropy as f32),
            usage_share: usage.map(|(entropy, k)| (entropy / (k as f64).ln()) as f32),
        }
    }
}

fn column_sums(rows: &[f32], dim: usize, f: impl Fn(usize, f64) -> f64) -> Vec<f64> {
    let mut sums = vec![0.0; dim];
    for row in rows.chunks_exact(dim) {
        let columns = sums.iter_mut().zip(row).enumerate();
        columns.for_each(|(column, (sum, &x))| *sum += f(column, x as f64));
    }
    sums
}

fn spread(rows: &[f32], dim: usize) -> f64 {
    let n = (rows.len() / dim) as f64;
    let sums = column_sums(rows, dim, |_, x| x);
    let squares = column_sums(rows, dim, |column, x| (x - sums[column] / n).powi(2));
    let deviations: f64 = squares.iter().map(|square| (square / n).sqrt()).sum();
    deviations / dim as f64 * (dim as f64).sqrt()
}

/// Of rows of length 1 (or 0): the sum over all pairs is the square of their sum.
fn mean_cosine(rows: &[f32], dim: usize) -> f64 {
    let n = (rows.len() / dim) as f64;
    let of_sum: f64 = column_sums(rows, dim, |_, x| x).iter().map(|s| s * s).sum();
    let own: f64 = rows.iter().map(|&x| (x as f64).powi(2)).sum();
    (of_sum - own) / (n * (n - 1.0))
}

/// From the products of all rows, or of all columns where those are fewer: their eigenvalues are the
/// squares of the singular values. NaN where a row holds one.
fn effective_rank(rows: &[f32], dim: usize) -> f64 {
    if rows.iter().any(|x| !x.is_finite()) {
        return f64::NAN;
    }
    let n = rows.len() / dim;
    let vectors: Vec<Vec<f64>> = match n <= dim {
        true => rows.chunks(dim).map(widen).collect(),
        false => (0..dim)
            .map(|column| {
                widen(
                    &rows
                        .iter()
                        .skip(column)
                        .step_by(dim)
                        .copied()
                        .collect::<Vec<_>>(),
                )
            })
            .collect(),
    };
    let products = |a: &Vec<f64>| vectors.iter().map(|b| dot(a, b)).collect::<Vec<f64>>();
    let gram: Vec<f64> = vectors.par_iter().flat_map_iter(products).collect();
    let squares = symmetric_eigenvalues(gram, vectors.len());
    let singular: Vec<f64> = squares
        .iter()
        .map(|square| square.max(0.0).sqrt())
        .collect();
    entropy(&singular).exp()
}

fn widen(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| x as f64).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// In nats, of weights that need not sum to 1; 0 where all of them are 0.
fn entropy(weights: &[f64]) -> f64 {
    let sum: f64 = weights.iter().sum();
    let shares = weights.iter().map(|w| w / sum).filter(|&p| p > 0.0);
    -shares.map(|p| p * p.ln()).sum::<f64>()
}

/// And K.
fn usage_entropy(codes: &[f32], k: usize) -> (f64, usize) {
    assert!(k >= 2 && codes.len().is_multiple_of(k), "collapse: codes");
    (entropy(&column_sums(codes, k, |_, x| x)), k)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Draws, Purpose};

    fn close(got: f32, wanted: f32, within: f32) {
        assert!((got - wanted).abs() < within, "{got}, not {wanted}");
    }

    fn normal(n: usize) -> Vec<f32> {
        let mut draws = Draws::new(1, Purpose::Synthetic, 0, 0, 0);
        (0..n).map(|_| draws.normal()).collect()
    }

    #[test]
    fn constant_rows_have_collapsed() {
        let seen = Collapse::of(&[0.3, -2.0, 0.5].repeat(50), 3, None);
        close(seen.spread, 0.0, 1e-3);
        close(seen.mean_cosine, 1.0, 1e-6);
        close(seen.effective_rank, 1.0, 1e-2);
        assert_eq!((seen.usage_entropy, seen.usage_share), (None, None));
    }

    #[test]
    fn rows_uniform_on_the_sphere_have_not() {
        let seen = Collapse::of(&normal(2000 * 16), 16, None);
        close(seen.spread, 1.0, 0.01);
        close(seen.mean_cosine, 0.0, 0.01);
        close(seen.effective_rank, 16.0, 0.1);
        assert_eq!(seen.full_rank, 16);
    }

    /// Uniform on a circle of a plane in sixteen dimensions.
    #[test]
    fn rows_in_a_plane_have_rank_two() {
        let axes = normal(32);
        let (a, rest) = axes.split_at(16);
        let along = |x: &[f32], y: &[f32]| -> f32 { x.iter().zip(y).map(|(x, y)| x * y).sum() };
        let a: Vec<f32> = a.iter().map(|x| x / along(a, a).sqrt()).collect();
        let shift = along(&a, rest);
        let b: Vec<f32> = rest.iter().zip(&a).map(|(x, a)| x - shift * a).collect();
        let b: Vec<f32> = b.iter().map(|x| x / along(&b, &b).sqrt()).collect();
        let row = |i: usize| {
            let (sin, cos) = (std::f32::consts::TAU * i as f32 / 200.0).sin_cos();
            a.iter().zip(&b).map(move |(a, b)| cos * a + sin * b)
        };
        let rows: Vec<f32> = (0..200).flat_map(row).collect();
        let few: Vec<f32> = (0..200).step_by(20).flat_map(row).collect(); // fewer than dimensions
        for rows in [&rows, &few] {
            let seen = Collapse::of(rows, 16, None);
            close(seen.effective_rank, 2.0, 0.01);
            close(seen.mean_cosine, -1.0 / (rows.len() / 16 - 1) as f32, 1e-5);
        }
    }

    #[test]
    fn codes_say_how_evenly_prototypes_are_used() {
        let one_hot = |of: &dyn Fn(usize) -> usize| -> Vec<f32> {
            let mut codes = vec![0.0; 40 * 8];
            (0..40).for_each(|row| codes[row * 8 + of(row)] = 1.0);
            codes
        };
        let seen = |codes: &[f32]| Collapse::of(&normal(40 * 4), 4, Some((codes, 8)));
        let even = seen(&one_hot(&|row| row % 8));
        close(even.usage_entropy.unwrap(), 8f32.ln(), 1e-6);
        close(even.usage_share.unwrap(), 1.0, 1e-6);
        let two = seen(&one_hot(&|row| row % 2));
        close(two.usage_entropy.unwrap(), 2f32.ln(), 1e-6);
        close(two.usage_share.unwrap(), 1.0 / 3.0, 1e-6);
        assert_eq!(seen(&one_hot(&|_| 5)).usage_entropy, Some(0.0));
    }
}
