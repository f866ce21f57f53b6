//! Principal components: the directions in which rows differ most, found by orthogonal iteration on their
//! covariance (Golub and Van Loan, "Matrix Computations", section 8.2).
use crate::{
    device::{Matrix, MatrixMut, host_matmul},
    random::{Draws, Purpose},
};

/// Rows seen along their first two components.
#[derive(Clone, Debug, PartialEq)]
pub struct Principal {
    /// Of each row, less the mean of all.
    pub points: Vec<[f32; 2]>,
    /// Of the variance, of each component: 0 to 1.
    pub shares: [f32; 2],
}

const STEPS: usize = 500;
/// A component stands still when its cosine with what it was differs from 1 by less.
const STILL: f32 = 1e-7;

/// Of `rows` (n, `dim`). The sign of a component is that which makes its largest entry positive.
pub fn principal(rows: &[f32], dim: usize) -> Principal {
    let n = rows.len() / dim;
    let rows = centred(rows, dim);
    let mut covariance = vec![0.0; dim * dim]; // times n
    let all = Matrix::new(&rows, n, dim);
    host_matmul(
        MatrixMut::new(&mut covariance, dim, dim),
        all.transposed(),
        all,
        false,
    );
    let total: f32 = covariance.iter().step_by(dim + 1).sum();
    let (axes, variances) = leading(&covariance, dim);
    let mut points = vec![0.0; 2 * n];
    host_matmul(
        MatrixMut::new(&mut points, n, 2),
        all,
        Matrix::new(&axes, 2, dim).transposed(),
        false,
    );
    let (points, _) = points.as_chunks::<2>();
    Principal {
        points: points.to_vec(),
        shares: variances.map(|v| if total > 0.0 { v / total } else { 0.0 }),
    }
}

fn centred(rows: &[f32], dim: usize) -> Vec<f32> {
    let n = (rows.len() / dim) as f64;
    let mut means = vec![0.0f64; dim];
    for row in rows.chunks_exact(dim) {
        means.iter_mut().zip(row).for_each(|(m, &x)| *m += x as f64);
    }
    let mut rows = rows.to_vec();
    for row in rows.chunks_exact_mut(dim) {
        let columns = row.iter_mut().zip(&means);
        columns.for_each(|(x, mean)| *x -= (mean / n) as f32);
    }
    rows
}

/// The two eigenvectors (2, `dim`) of largest eigenvalue, and these.
fn leading(matrix: &[f32], dim: usize) -> (Vec<f32>, [f32; 2]) {
    let mut draws = Draws::new(0, Purpose::Split, 0, 0, 0);
    let mut axes: Vec<f32> = (0..2 * dim).map(|_| draws.normal()).collect();
    orthonormalize(&mut axes, dim);
    let mut values = [0.0; 2];
    for _ in 0..STEPS {
        let mut next = vec![0.0; 2 * dim];
        host_matmul(
            MatrixMut::new(&mut next, 2, dim),
            Matrix::new(&axes, 2, dim),
            Matrix::new(matrix, dim, dim), // symmetric
            false,
        );
        values = orthonormalize(&mut next, dim);
        let pairs = axes.chunks_exact(dim).zip(next.chunks_exact(dim));
        let mut pairs = pairs.map(|(old, new)| dot(old, new).abs());
        let done = pairs.all(|cosine| 1.0 - cosine < STILL);
        axes = next;
        if done {
            break;
        }
    }
    for axis in axes.chunks_exact_mut(dim) {
        let largest = axis
            .iter()
            .copied()
            .max_by(|a, b| a.abs().total_cmp(&b.abs()));
        if largest.is_some_and(|x| x < 0.0) {
            axis.iter_mut().for_each(|x| *x = -*x);
        }
    }
    (axes, values)
}

/// Gram and Schmidt's, and how long each row was when its turn came. A row of which nothing is left is 0.
fn orthonormalize(rows: &mut [f32], dim: usize) -> [f32; 2] {
    let (first, second) = rows.split_at_mut(dim);
    let length = normalize(first);
    for _ in 0..2 {
        let along = dot(first, second); // twice: once leaves what rounding left
        let pairs = second.iter_mut().zip(first.iter());
        pairs.for_each(|(s, f)| *s -= along * f);
    }
    [length, normalize(second)]
}

fn normalize(row: &mut [f32]) -> f32 {
    let length = dot(row, row).sqrt();
    if length > f32::MIN_POSITIVE {
        row.iter_mut().for_each(|x| *x /= length);
    }
    length
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter()
        .zip(b)
        .map(|(&a, &b)| a as f64 * b as f64)
        .sum::<f64>() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Deviations 3, 2 and .1 along turned axes, around a mean that is none of them.
    fn cloud(n: usize) -> (Vec<f32>, [[f32; 3]; 2]) {
        let (first, second, third) = (
            [2.0 / 3.0, 2.0 / 3.0, 1.0 / 3.0],
            [-2.0 / 3.0, 1.0 / 3.0, 2.0 / 3.0],
            [1.0 / 3.0, -2.0 / 3.0, 2.0 / 3.0],
        );
        let mut draws = Draws::new(3, Purpose::Synthetic, 0, 0, 0);
        let mut rows = Vec::new();
        for _ in 0..n {
            let along = [
                3.0 * draws.normal(),
                2.0 * draws.normal(),
                0.1 * draws.normal(),
            ];
            rows.extend(
                (0..3).map(|i| {
                    10.0 + along[0] * first[i] + along[1] * second[i] + along[2] * third[i]
                }),
            );
        }
        (rows, [first, second])
    }

    #[test]
    fn components_are_the_axes_that_a_cloud_was_made_along() {
        let (rows, axes) = cloud(4000);
        let found = principal(&rows, 3);
        assert!(
            (found.shares[0] - 9.0 / 13.01).abs() < 0.02,
            "{:?}",
            found.shares
        );
        assert!(
            (found.shares[1] - 4.0 / 13.01).abs() < 0.02,
            "{:?}",
            found.shares
        );
        for (component, axis) in axes.iter().enumerate() {
            let along = |row: &[f32]| {
                row.iter()
                    .zip(axis)
                    .map(|(x, a)| (x - 10.0) * a)
                    .sum::<f32>()
            };
            let wanted: Vec<f32> = rows.chunks_exact(3).map(along).collect();
            let got: Vec<f32> = found.points.iter().map(|p| p[component]).collect();
            let cosine = dot(&wanted, &got) / (dot(&wanted, &wanted) * dot(&got, &got)).sqrt();
            assert!(cosine.abs() > 0.99, "component {component}: {cosine}");
        }
    }

    #[test]
    fn rows_that_are_all_the_same_lie_in_one_point() {
        let found = principal(&[1.0, 2.0, 1.0, 2.0, 1.0, 2.0], 2);
        assert_eq!(found.shares, [0.0, 0.0]);
        assert!(found.points.iter().flatten().all(|&x| x == 0.0));
        assert_eq!(principal(&[4.0, 5.0, 6.0], 1).points.len(), 3);
    }
}
