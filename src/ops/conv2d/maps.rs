//! How the copy engine of compute capability 9.0 sees the operands of conv2d_wgmma.cuh.
use crate::device::{
    Ptr, Real, Swizzle, TensorMap, Window as MapWindow,
    kernels::{Conv2dForward, Conv2dInputGradient, Conv2dWeightGradient, Window},
};
use smallvec::{SmallVec, smallvec};

/// 128 bytes, what a swizzle spans.
const CHANNELS: u32 = 64;

/// x as the windows of `pixels` output pixels, and the weight's rows.
pub(super) fn forward(kernel: &Conv2dForward, columns: u32) -> Vec<TensorMap> {
    let (g, terms) = (&kernel.g, kernel.g.r * kernel.g.s * kernel.g.c);
    let weight = matrix(kernel.weight, [terms, g.k], [CHANNELS, columns]);
    vec![windows(kernel.x, g, 128), weight]
}

/// dy's rows of pixels, and x as the windows of 64 output pixels.
pub(super) fn weight_gradient(kernel: &Conv2dWeightGradient) -> Vec<TensorMap> {
    let g = &kernel.g;
    let dy = matrix(kernel.dy, [g.k, g.n * g.p * g.q], [CHANNELS, 64]);
    vec![dy, windows(kernel.x, g, 64)]
}

/// The weight by tap, and dy as each of four phases reads it: those there are not repeat the first.
pub(super) fn input_gradient(kernel: &Conv2dInputGradient) -> Vec<TensorMap> {
    let g = &kernel.g;
    let taps = g.r * g.s;
    let weight = tiled(kernel.weight, &[g.c, taps, g.k], &[CHANNELS, 1, CHANNELS]);
    let phases = (0..4).map(|phase| {
        let phase = if phase < g.stride * g.stride {
            phase
        } else {
            0
        };
        let [(lower_h, upper_h), (lower_w, upper_w)] = [
            walk([g.h, g.p, g.r], phase / g.stride, g),
            walk([g.w, g.q, g.s], phase % g.stride, g),
        ];
        let walk = ([lower_w, lower_h], [upper_w, upper_h]);
        pixels(kernel.dy, [g.n, g.p, g.q, g.k], walk, 128, 1)
    });
    [weight].into_iter().chain(phases).collect()
}

/// Along one side: the first output pixel that a tap of the phase's first input pixel comes from, and how
/// far the last input pixel's is from the end. `Phase` of conv2d_mma.cuh says the same.
fn walk([inputs, outputs, window]: [u32; 3], first: u32, g: &Window) -> (i32, i32) {
    let count = |n: u32, first: u32| n.saturating_sub(first).div_ceil(g.stride) as i32;
    let (pixels, taps) = (
        count(inputs, first),
        count(window, (first + g.padding) % g.stride),
    );
    if pixels == 0 || taps == 0 {
        return (0, 0); // nothing is read
    }
    let lower = ((first + g.padding) / g.stride) as i32 - (taps - 1);
    (lower, pixels - outputs as i32 + lower)
}

/// The first pixels of the windows of x (n, h, w, c): a walk with the window's stride, exactly p by q.
fn windows(x: Ptr, g: &Window, count: u32) -> TensorMap {
    let lower = -(g.padding as i32);
    let upper =
        |input: u32, output: u32| ((output - 1) * g.stride + 1) as i32 - input as i32 + lower;
    let walk = ([lower, lower], [upper(g.w, g.q), upper(g.h, g.p)]);
    pixels(x, [g.n, g.h, g.w, g.c], walk, count, g.stride)
}

/// 64 channels of `count` pixels of an image (n, h, w, c) on a walk between corners (w, h).
fn pixels(
    at: Ptr,
    [n, h, w, c]: [u32; 4],
    (lower, upper): ([i32; 2], [i32; 2]),
    count: u32,
    stride: u32,
) -> TensorMap {
    TensorMap {
        window: MapWindow::Im2col {
            lower: SmallVec::from_slice(&lower),
            upper: SmallVec::from_slice(&upper),
            channels: CHANNELS,
            pixels: count,
        },
        steps: smallvec![1, stride, stride, 1],
        ..tiled(at, &[c, w, h, n], &[])
    }
}

/// A matrix with `columns` innermost, in tiles.
fn matrix(at: Ptr, [columns, rows]: [u32; 2], tile: [u32; 2]) -> TensorMap {
    tiled(at, &[columns, rows], &tile)
}

/// Contiguous, innermost first.
fn tiled(at: Ptr, dims: &[u32], tile: &[u32]) -> TensorMap {
    let bytes = |count: usize| 2 * dims[..count].iter().map(|&d| d as u64).product::<u64>();
    TensorMap {
        at,
        real: Real::Bf16,
        dims: dims.iter().map(|&d| d as u64).collect(),
        strides: (1..dims.len()).map(bytes).collect(),
        window: MapWindow::Tiled(SmallVec::from_slice(tile)),
        steps: dims.iter().map(|_| 1).collect(),
        swizzle: Swizzle::Bytes128,
    }
}
