//! Eigenvalues of a symmetric matrix: made tridiagonal by reflections (Householder), then found one by
//! one by counting how many lie below a number (Sturm) and halving. Fifty lines instead of a library:
//! nothing else here needs one, and a monitor's matrices have a few hundred rows.
use rayon::prelude::*;

/// Of `a` (n, n), ascending.
pub fn symmetric_eigenvalues(a: Vec<f64>, n: usize) -> Vec<f64> {
    assert_eq!(a.len(), n * n, "eigenvalues: not square");
    let (diagonal, beside) = tridiagonal(a, n);
    let radius = |i: usize| {
        let before = if i > 0 { beside[i - 1].abs() } else { 0.0 };
        before + beside.get(i).map_or(0.0, |e| e.abs())
    };
    let low = (0..n).map(|i| diagonal[i] - radius(i));
    let high = (0..n).map(|i| diagonal[i] + radius(i)); // Gershgorin's circles
    let low = low.fold(f64::INFINITY, f64::min);
    let high = high.fold(f64::NEG_INFINITY, f64::max);
    let find = |k: usize| {
        let (mut low, mut high) = (low, high);
        for _ in 0..64 {
            let middle = 0.5 * (low + high);
            match below(&diagonal, &beside, middle) > k {
                true => high = middle,
                false => low = middle,
            }
        }
        0.5 * (low + high)
    };
    (0..n).into_par_iter().map(find).collect()
}

/// The diagonal (n) and what stands beside it (n - 1) of a tridiagonal matrix with `a`'s eigenvalues.
fn tridiagonal(mut a: Vec<f64>, n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut beside = vec![0.0; n.saturating_sub(1)];
    for k in 0..n.saturating_sub(1) {
        // The reflection I - 2 v vᵀ turns column k below the diagonal into a multiple of its first axis.
        let mut v: Vec<f64> = (k + 1..n).map(|i| a[i * n + k]).collect();
        let length = v.iter().map(|x| x * x).sum::<f64>().sqrt();
        let reflected = -length.copysign(v[0]);
        beside[k] = reflected;
        v[0] -= reflected;
        let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
        if norm == 0.0 {
            continue;
        }
        v.iter_mut().for_each(|x| *x /= norm);
        // a - 2 (v qᵀ + q vᵀ) with q = a v - (vᵀ a v) v, of what is below and right of (k, k).
        let rest = |i: usize| &a[i * n + k + 1..(i + 1) * n];
        let product = |i: usize| rest(i).iter().zip(&v).map(|(a, v)| a * v).sum::<f64>();
        let mut q: Vec<f64> = (k + 1..n).map(product).collect();
        let along: f64 = q.iter().zip(&v).map(|(q, v)| q * v).sum();
        q.iter_mut().zip(&v).for_each(|(q, v)| *q -= along * v);
        for (i, row) in a.chunks_exact_mut(n).skip(k + 1).enumerate() {
            let columns = row[k + 1..].iter_mut().zip(v.iter().zip(&q));
            columns.for_each(|(a, (vj, qj))| *a -= 2.0 * (v[i] * qj + q[i] * vj));
        }
    }
    ((0..n).map(|i| a[i * n + i]).collect(), beside)
}

/// How many eigenvalues are below `x`: the negative pivots of the matrix less x.
fn below(diagonal: &[f64], beside: &[f64], x: f64) -> usize {
    let (mut count, mut pivot) = (0, 1.0);
    for (i, d) in diagonal.iter().enumerate() {
        let e = if i > 0 { beside[i - 1] } else { 0.0 };
        pivot = d - x - e * e / pivot;
        if pivot == 0.0 {
            pivot = -f64::MIN_POSITIVE.sqrt(); // of 0 / 0 nothing would follow
        }
        count += (pivot < 0.0) as usize;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Draws, Purpose};

    /// 2 on the diagonal and -1 beside it: 2 - 2 cos(k pi / (n + 1)).
    #[test]
    fn a_paths_laplacian_has_its_known_eigenvalues() {
        for n in [1, 2, 3, 10, 50] {
            let entry = |i: usize| match (i / n).abs_diff(i % n) {
                0 => 2.0,
                1 => -1.0,
                _ => 0.0,
            };
            let found = symmetric_eigenvalues((0..n * n).map(entry).collect(), n);
            for (k, found) in found.iter().enumerate() {
                let angle = (k + 1) as f64 * std::f64::consts::PI / (n + 1) as f64;
                assert!(
                    (found - (2.0 - 2.0 * angle.cos())).abs() < 1e-12,
                    "{n}, {k}"
                );
            }
        }
    }

    /// H diag(1, 1, 2, 9) H for a reflection H: twice the same, and nothing tridiagonal about it.
    #[test]
    fn a_dense_matrix_gives_back_what_it_was_made_of() {
        let (n, wanted) = (4, [1.0, 1.0, 2.0, 9.0]);
        let mut draws = Draws::new(2, Purpose::Synthetic, 0, 0, 0);
        let v: Vec<f64> = (0..n).map(|_| draws.normal() as f64).collect();
        let square: f64 = v.iter().map(|x| x * x).sum();
        let h = |i: usize, j: usize| (i == j) as u8 as f64 - 2.0 * v[i] * v[j] / square;
        let entry = |i: usize, j: usize| (0..n).map(|k| h(i, k) * wanted[k] * h(k, j)).sum();
        let a = (0..n * n).map(|at| entry(at / n, at % n)).collect();
        for (found, wanted) in symmetric_eigenvalues(a, n).iter().zip(wanted) {
            assert!((found - wanted).abs() < 1e-12, "{found}, not {wanted}");
        }
    }
}
