//! NT-Xent's definition on the CPU: similarities of a few rows at a time with those of a range.
use crate::device::{
    Host, Matrix, MatrixMut, Ptr, host_matmul,
    kernels::{NtXentBackward, NtXentForward},
};
use rayon::prelude::*;
use std::ops::Range;

/// Rows whose similarities a CPU thread holds at a time.
const HOST_ROWS: usize = 64;

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
                let mut cosines = similarities(&zhat, d, first..first + lse.len(), &columns);
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
                let mut g = similarities(&zhat, d, first..first + count, &columns);
                for (i, g) in g.chunks_exact_mut(columns.len()).enumerate() {
                    weights(g, lse, first + i, &columns, p.temperature);
                }
                let g = Matrix::new(&g, count, columns.len());
                let across = &zhat[columns.start * d..columns.end * d];
                let across = Matrix::new(across, columns.len(), d);
                host_matmul(MatrixMut::new(sums, count, d), g, across, false);
            });
    }
}

fn columns(split: usize, range: u32, rows: usize) -> Range<usize> {
    let range = range as usize;
    split * range..rows.min((split + 1) * range)
}

/// z with rows of length 1.
fn normalised(memory: &Host, z: Ptr, inv_norm: Ptr, rows: usize, d: usize) -> Vec<f32> {
    let z = memory.read::<f32>(z, rows * d);
    let inv_norm = memory.read::<f32>(inv_norm, rows);
    let scaled = |(z, inv): (&[f32], &f32)| z.iter().map(|z| z * inv).collect::<Vec<_>>();
    z.chunks_exact(d).zip(inv_norm).flat_map(scaled).collect()
}

/// The cosines of the rows `rows` with the rows `columns`.
fn similarities(zhat: &[f32], d: usize, rows: Range<usize>, columns: &Range<usize>) -> Vec<f32> {
    let mut cosines = vec![0.0; rows.len() * columns.len()];
    let tile = Matrix::new(&zhat[rows.start * d..rows.end * d], rows.len(), d);
    let across = &zhat[columns.start * d..columns.end * d];
    let across = Matrix::new(across, columns.len(), d).transposed();
    let cosines_of = MatrixMut::new(&mut cosines, rows.len(), columns.len());
    host_matmul(cosines_of, tile, across, false);
    cosines
}

/// log of the sum of exp; -infinity of nothing.
pub(super) fn log_sum_exp(s: &[f32]) -> f32 {
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
