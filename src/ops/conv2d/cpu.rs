//! The convolutions' definition on the CPU: output pixels are taken a block at a time, the block's
//! windows unfolded into a matrix that stays in the cache, and multiplied by the weights. Blocks are
//! spread over threads; their sizes follow from shapes alone, so results do not depend on how many.
use crate::device::{Matrix, MatrixMut, host_matmul, kernels::Window};
use rayon::prelude::*;
use std::cell::RefCell;

thread_local! {
    /// A block's unfolded windows; kept, so that a step does not allocate.
    static UNFOLDED: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

fn with_scratch<T>(len: usize, body: impl FnOnce(&mut [f32]) -> T) -> T {
    UNFOLDED.with_borrow_mut(|scratch| {
        if scratch.len() < len {
            scratch.resize(len, 0.0);
        }
        body(&mut scratch[..len])
    })
}

impl Window {
    /// Elements of one window: the length of the sum.
    fn window(&self) -> usize {
        (self.r * self.s * self.c) as usize
    }
    fn pixels(&self) -> usize {
        (self.n * self.p * self.q) as usize
    }
    /// Whether unfolding would copy x as it is.
    fn is_pointwise(&self) -> bool {
        let same = (self.p, self.q) == (self.h, self.w);
        self.r == 1 && self.s == 1 && self.stride == 1 && self.padding == 0 && same
    }
    /// Output pixels a block: unfolded they fill about 256 KB, half of a core's second-level cache, but
    /// never fewer than 192, below which packing the weights costs too much of the product. Weights of
    /// more than a megabyte are worth a quarter of all pixels at once, up to 512.
    fn block(&self) -> usize {
        let fewest = match self.k as usize * self.window() {
            0..262_144 => 192,
            _ => (self.pixels() / 4).clamp(192, 512),
        };
        (65_536 / self.window()).clamp(fewest, 1024)
    }
}

/// y = unfold(x) weightᵀ.
pub fn forward(g: &Window, x: &[f32], weight: &[f32], y: &mut [f32]) {
    let (k, window) = (g.k as usize, g.window());
    let weight = Matrix::new(weight, k, window).transposed();
    y.par_chunks_mut(g.block() * k)
        .enumerate()
        .for_each(|(block, y)| {
            let (first, rows) = (block * g.block(), y.len() / k);
            with_unfolded(g, x, first, rows, |unfolded| {
                host_matmul(
                    MatrixMut::new(y, rows, k),
                    Matrix::new(unfolded, rows, window),
                    weight,
                    false,
                );
            });
        });
}

/// The windows of output pixels `first..first + rows`, one a row.
fn with_unfolded<T>(
    g: &Window,
    x: &[f32],
    first: usize,
    rows: usize,
    body: impl FnOnce(&[f32]) -> T,
) -> T {
    let window = g.window();
    if g.is_pointwise() {
        return body(&x[first * window..(first + rows) * window]);
    }
    with_scratch(rows * window, |unfolded| {
        for (row, unfolded) in unfolded.chunks_mut(window).enumerate() {
            unfold(g, x, first + row, unfolded);
        }
        body(unfolded)
    })
}

/// One output pixel's window, zeros where it reaches over the edge.
fn unfold(g: &Window, x: &[f32], pixel: usize, window: &mut [f32]) {
    let [h, w, c, s] = [g.h, g.w, g.c, g.s].map(|d| d as usize);
    let (q, p, n) = (
        pixel % g.q as usize,
        pixel / g.q as usize % g.p as usize,
        pixel / (g.p * g.q) as usize,
    );
    let left = (q * g.stride as usize) as isize - g.padding as isize;
    // A window's row is one stretch of memory: columns left.. of which from..to lie in the image.
    let from = (-left).clamp(0, s as isize) as usize;
    let to = (w as isize - left).clamp(from as isize, s as isize) as usize;
    for (r, row) in window.chunks_mut(s * c).enumerate() {
        let top = (p * g.stride as usize + r) as isize - g.padding as isize;
        if top < 0 || top >= h as isize || from == to {
            row.fill(0.0);
            continue;
        }
        let start = ((n * h + top as usize) * w) as isize + left + from as isize;
        row[..from * c].fill(0.0);
        row[from * c..to * c].copy_from_slice(&x[start as usize * c..][..(to - from) * c]);
        row[to * c..].fill(0.0);
    }
}

/// dx: at stride 1 a convolution of dy with the turned weights, at others what the windows fold back to.
pub fn input_gradient(g: &Window, dy: &[f32], weight: &[f32], dx: &mut [f32]) {
    if g.stride == 1 && g.padding < g.r && g.padding < g.s && g.r == g.s {
        let turned = Window {
            h: g.p,
            w: g.q,
            c: g.k,
            k: g.c,
            padding: g.r - 1 - g.padding,
            p: g.h,
            q: g.w,
            ..*g
        };
        return forward(&turned, dy, &turn(g, weight), dx);
    }
    let [k, image_out, image_in] = [g.k, g.p * g.q * g.k, g.h * g.w * g.c].map(|d| d as usize);
    let (window, block) = (g.window(), g.block());
    let weight = Matrix::new(weight, k, window);
    dx.par_chunks_mut(image_in)
        .zip(dy.par_chunks(image_out))
        .for_each(|(dx, dy)| {
            dx.fill(0.0);
            for (at, dy) in dy.chunks(block * k).enumerate() {
                let rows = dy.len() / k;
                with_scratch(rows * window, |unfolded| {
                    host_matmul(
                        MatrixMut::new(unfolded, rows, window),
                        Matrix::new(dy, rows, k),
                        weight,
                        false,
                    );
                    for (row, window) in unfolded.chunks(window).enumerate() {
                        fold(g, window, at * block + row, dx);
                    }
                });
            }
        });
}

/// (k, r, s, c) to (c, r, s, k), the window turned by half a turn.
fn turn(g: &Window, weight: &[f32]) -> Vec<f32> {
    let [k, taps, c] = [g.k, g.r * g.s, g.c].map(|d| d as usize);
    let mut turned = vec![0.0; weight.len()];
    turned
        .par_chunks_mut(taps * k)
        .enumerate()
        .for_each(|(channel, turned)| {
            for (tap, row) in turned.chunks_mut(k).enumerate() {
                for (out, value) in row.iter_mut().enumerate() {
                    *value = weight[(out * taps + taps - 1 - tap) * c + channel];
                }
            }
        });
    turned
}

/// Adds one output pixel's window to the image it came from.
fn fold(g: &Window, window: &[f32], pixel: usize, image: &mut [f32]) {
    let [h, w, c, s] = [g.h, g.w, g.c, g.s].map(|d| d as usize);
    let (q, p) = (pixel % g.q as usize, pixel / g.q as usize);
    for (r, row) in window.chunks(s * c).enumerate() {
        let top = (p * g.stride as usize + r).wrapping_sub(g.padding as usize);
        for (s, tap) in row.chunks(c).enumerate() {
            let left = (q * g.stride as usize + s).wrapping_sub(g.padding as usize);
            if top < h && left < w {
                let pixel = &mut image[(top * w + left) * c..][..c];
                pixel
                    .iter_mut()
                    .zip(tap)
                    .for_each(|(pixel, tap)| *pixel += tap);
            }
        }
    }
}

/// partial[i] = dyᵀ unfold(x) over the i-th range of output pixels.
pub fn weight_gradient(g: &Window, range: usize, dy: &[f32], x: &[f32], partial: &mut [f32]) {
    let (k, window, block) = (g.k as usize, g.window(), g.block());
    partial
        .par_chunks_mut(k * window)
        .enumerate()
        .for_each(|(split, partial)| {
            let end = ((split + 1) * range).min(g.pixels());
            let mut first = split * range;
            while first < end {
                let rows = block.min(end - first);
                let dy = Matrix::new(&dy[first * k..(first + rows) * k], rows, k).transposed();
                with_unfolded(g, x, first, rows, |unfolded| {
                    let sum = MatrixMut::new(partial, k, window);
                    host_matmul(
                        sum,
                        dy,
                        Matrix::new(unfolded, rows, window),
                        first > split * range,
                    );
                });
                first += rows;
            }
        });
}

/// The sum over splits, in their order.
pub fn sum_splits(partial: &[f32], y: &mut [f32]) {
    const CHUNK: usize = 1 << 14;
    let n = y.len();
    y.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, y)| {
        y.fill(0.0);
        for split in partial.chunks(n) {
            let part = &split[chunk * CHUNK..][..y.len()];
            y.iter_mut().zip(part).for_each(|(y, part)| *y += part);
        }
    });
}
