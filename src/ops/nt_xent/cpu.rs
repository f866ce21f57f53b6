//! NT-Xent's definition on the CPU: similarities of a few rows at a time with those of a range.
use crate::device::{
    Host, Matrix, MatrixMut, Ptr, host_matmul,
    kernels::{NtXentBackward, NtXentForward},
};
use rayon::prelude::*;
use std::ops::Range;

/// Rows whose similarities a CPU thread holds at a time.
pub(in crate::ops) const HOST_ROWS: usize = 64;

pub(super) fn forward(p: &NtXentForward, memory: &Host) {
    let (rows, d, splits) = (p.rows as usize, p.d as usize, p.splits as usize);
    let zhat = normalised(memory, p.z, p.inv_norm, rows, d);
    let lse = memory.write::<f32>(p.lse, splits * rows);
    let positive = memory.write::<f32>(p.positive, rows);
    for (split, lse) in lse.chunks_exact_mut(rows).enumerate() {
        let columns = columns(split, p.range, rows);
        lse.par_chunks_mut(HOST_ROWS)
            .zip(positive.par_chunks_mut(HOST_ROWS))
            .enumerate()
            .for_each(|(tile, (lse, positive))| {
                let first = tile * HOST_ROWS;
                let tile = &zhat[first * d..][..lse.len() * d];
                let across = &zhat[columns.start * d..columns.end * d];
                let mut cosines = similarities(tile, across, d);
                for (i, s) in cosines.chunks_exact_mut(columns.len()).enumerate() {
                    let (row, other) = (first + i, (first + i + rows / 2) % rows);
                    s.iter_mut().for_each(|s| *s /= p.temperature);
                    if columns.contains(&other) {
                        positive[i] = s[other - columns.start];
                    }
                    if columns.contains(&row) {
                        s[row - columns.start] = f32::NEG_INFINITY; // a view is not its own negative
                    }
                    lse[i] = log_sum_exp(s);
                }
            });
    }
}

pub(super) fn backward(p: &NtXentBackward, memory: &Host) {
    let (rows, d, splits) = (p.rows as usize, p.d as usize, p.splits as usize);
    let zhat = normalised(memory, p.z, p.inv_norm, rows, d);
    let lse = memory.read::<f32>(p.lse, rows);
    let sums = memory.write::<f32>(p.sums, splits * rows * d);
    for (split, sums) in sums.chunks_exact_mut(rows * d).enumerate() {
        let columns = columns(split, p.range, rows);
        sums.par_chunks_mut(HOST_ROWS * d)
            .enumerate()
            .for_each(|(tile, sums)| {
                let (first, count) = (tile * HOST_ROWS, sums.len() / d);
                let across = &zhat[columns.start * d..columns.end * d];
                let mut g = similarities(&zhat[first * d..][..count * d], across, d);
                for (i, g) in g.chunks_exact_mut(columns.len()).enumerate() {
                    weights(g, lse, first + i, &columns, p.temperature);
                }
                let g = Matrix::new(&g, count, columns.len());
                let across = Matrix::new(across, columns.len(), d);
                host_matmul(MatrixMut::new(sums, count, d), g, across, false);
            });
    }
}

/// What range number `split` of `rows` rows is.
pub(in crate::ops) fn columns(split: usize, range: u32, rows: usize) -> Range<usize> {
    let range = range as usize;
    split * range..rows.min((split + 1) * range)
}

/// z with rows of length 1.
pub(in crate::ops) fn normalised(
    memory: &Host,
    z: Ptr,
    inv_norm: Ptr,
    rows: usize,
    d: usize,
) -> Vec<f32> {
    let z = memory.read::<f32>(z, rows * d);
    let inv_norm = memory.read::<f32>(inv_norm, rows);
    let scaled = |(z, inv): (&[f32], &f32)| z.iter().map(|z| z * inv).collect::<Vec<_>>();
    z.chunks_exact(d).zip(inv_norm).flat_map(scaled).collect()
}

/// The cosines of rows a with rows b: as many rows of d as each holds, of length 1.
pub(in crate::ops) fn similarities(a: &[f32], b: &[f32], d: usize) -> Vec<f32> {
    let (rows, columns) = (a.len() / d, b.len() / d);
    let mut cosines = vec![0.0; rows * columns];
    let (a, b) = (Matrix::new(a, rows, d), Matrix::new(b, columns, d));
    let cosines_of = MatrixMut::new(&mut cosines, rows, columns);
    host_matmul(cosines_of, a, b.transposed(), false);
    cosines
}

/// log of the sum of exp; -infinity of nothing.
pub(in crate::ops) fn log_sum_exp(s: &[f32]) -> f32 {
    let most = s.iter().fold(f32::NEG_INFINITY, |most, &s| most.max(s));
    if most == f32::NEG_INFINITY {
        return most;
    }
    most + s.iter().map(|s| (s - most).exp()).sum::<f32>().ln()
}

/// The cosines of `row` become its G = P + Pᵀ - Y - Yᵀ, in place.
fn weights(g: &mut [f32], lse: &[f32], row: usize, columns: &Range<usize>, temperature: f32) {
    let other = (row + lse.len() / 2) % lse.len();
    for (column, g) in columns.clone().zip(g) {
        let s = *g / temperature;
        let positive = if column == other { 2.0 } else { 0.0 };
        *g = match column == row {
            true => 0.0,
            false => (s - lse[row]).exp() + (s - lse[column]).exp() - positive,
        };
    }
}
