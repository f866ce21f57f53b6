//! `augment_crop`: boxes of small images that live on the device, resized to squares, maybe turned and
//! mirrored.
//!
//! PIL's antialiased triangle filter, cut off at the box as if that were cut out first; one rounding at
//! the end instead of PIL's two. Every device gives the same bytes.
use crate::{
    Result, Tensor,
    device::{Arch, Grid, Host, Kernel, Real, kernels::AugmentCrop},
    tensor::Element,
};
use rayon::prelude::*;

/// Numbers of a box.
pub const BOX: usize = 6;

/// Row i is box `boxes[i]` of image `indices[i]`: images (count, h, w, 3) u8, indices (rows) u32, boxes
/// (rows, 6) f32 (x, y, width, height in pixels, inside the image; quarters to turn counter-clockwise; then
/// 1 to mirror) -> u8 (rows, size, size, 3).
pub fn crop(images: &Tensor, indices: &Tensor, boxes: &Tensor, size: usize) -> Result<Tensor> {
    let [count, height, width, channels] = images.dims_of();
    let rows = indices.len();
    assert_eq!((channels, images.element()), (3, Element::U8), "crop");
    assert_eq!(indices.element(), Element::U32, "crop: indices");
    assert_eq!(boxes.dims(), [rows, BOX], "crop: boxes");
    let y = Tensor::uninit(images.device(), Element::U8, [rows, size, size, 3])?;
    images.device().launch(AugmentCrop {
        images: images.ptr(),
        indices: indices.ptr(),
        boxes: boxes.ptr(),
        y: y.ptr(),
        count: count as u32,
        height: height as u32,
        width: width as u32,
        rows: rows as u32,
        size: size as u32,
    })?;
    Ok(y)
}

/// The source pixels an output pixel takes along one axis, and the triangle's weight of each.
struct Taps {
    first: usize,
    weights: Vec<f32>,
    sum: f32,
}

/// Of each of `size` output pixels: the box starts at `start` and is `length` long, in `limit` pixels.
fn taps(size: usize, start: f32, length: f32, limit: usize) -> Vec<Taps> {
    let scale = length / size as f32;
    let support = scale.max(1.0);
    let inverse_support = 1.0 / support;
    let low = start.floor().max(0.0);
    let high = (start + length).ceil().min(limit as f32);
    let tap = |at: usize| {
        let centre = start + (at as f32 + 0.5) * scale;
        let first = (centre - support + 0.5).floor().max(low) as usize;
        let end = (centre + support + 0.5).floor().min(high) as usize;
        let weight = |i: usize| {
            let distance = ((i as f32 + 0.5 - centre) * inverse_support).abs();
            (1.0 - distance).max(0.0)
        };
        let weights: Vec<f32> = (first..end).map(weight).collect();
        let sum = weights.iter().fold(0.0, |sum, w| sum + w);
        Taps {
            first,
            weights,
            sum,
        }
    };
    (0..size).map(tap).collect()
}

/// One box of `image`, lines of `width` pixels, into y (size, size, 3): along the lines it touches, then
/// across them.
fn resize(y: &mut [u8], size: usize, image: &[u8], width: usize, bounds: &[f32]) {
    let height = image.len() / (width * 3);
    let mut across = taps(size, bounds[0], bounds[2], width);
    let down = taps(size, bounds[1], bounds[3], height);
    let (turns, mirrored) = (bounds[4] as u32, bounds[5] != 0.0);
    if turns == 0 && mirrored {
        across.reverse();
    }
    let end = |taps: &Taps| taps.first + taps.weights.len();
    let first = down.iter().map(|t| t.first).min().unwrap_or(0);
    let last = down.iter().map(end).max().unwrap_or(0);
    let mut along = vec![0.0f32; last.saturating_sub(first) * size * 3];
    for (i, along) in along.chunks_exact_mut(size * 3).enumerate() {
        let line = &image[(first + i) * width * 3..][..width * 3];
        for (sums, taps) in along.chunks_exact_mut(3).zip(&across) {
            let pixels = line[taps.first * 3..].chunks_exact(3);
            for (weight, pixel) in taps.weights.iter().zip(pixels) {
                for c in 0..3 {
                    sums[c] += weight * pixel[c] as f32;
                }
            }
        }
    }
    let mut sums = vec![0.0f32; size * 3];
    for (y, taps) in y.chunks_exact_mut(size * 3).zip(&down) {
        sums.fill(0.0);
        for (i, weight) in taps.weights.iter().enumerate() {
            let along = &along[(taps.first - first + i) * size * 3..][..size * 3];
            let pairs = sums.iter_mut().zip(along);
            pairs.for_each(|(sum, along)| *sum += weight * along);
        }
        let columns = sums.chunks_exact(3).zip(&across);
        for (y, (sums, column)) in y.chunks_exact_mut(3).zip(columns) {
            let total = column.sum * taps.sum;
            for c in 0..3 {
                y[c] = (sums[c] / total + 0.5) as u8; // saturates
            }
        }
    }
    if turns > 0 {
        turn(y, size, turns, mirrored);
    }
}

/// Counter-clockwise by `quarters`, then maybe mirrored.
fn turn(y: &mut [u8], size: usize, quarters: u32, mirrored: bool) {
    let (before, last) = (y.to_vec(), size - 1);
    for (at, y) in y.chunks_exact_mut(3).enumerate() {
        let (line, column) = (at / size, at % size);
        let seen = if mirrored { last - column } else { column };
        let (line, column) = match quarters {
            1 => (seen, last - line),
            2 => (last - line, last - seen),
            _ => (last - seen, line),
        };
        y.copy_from_slice(&before[(line * size + column) * 3..][..3]);
    }
}

impl Kernel for AugmentCrop {
    fn grid(&self, _: Arch) -> Grid {
        Grid::elements(self.rows as u64 * self.size as u64 * self.size as u64)
    }
    /// As if each source pixel of a box of the output's size were read once.
    fn bytes(&self, _: Real) -> u64 {
        self.rows as u64 * self.size as u64 * self.size as u64 * 3 * 2
    }
    fn on_cpu(&self, memory: &Host) {
        let [count, h, w] = [self.count, self.height, self.width].map(|n| n as usize);
        let (rows, size) = (self.rows as usize, self.size as usize);
        let images = memory.read::<u8>(self.images, count * h * w * 3);
        let indices = memory.read::<u32>(self.indices, rows);
        let boxes = memory.read::<f32>(self.boxes, rows * BOX);
        let y = memory.write::<u8>(self.y, rows * size * size * 3);
        y.par_chunks_exact_mut(size * size * 3)
            .zip(indices.par_iter().zip(boxes.par_chunks_exact(BOX)))
            .for_each(|(y, (&index, bounds))| {
                let image = &images[index as usize * h * w * 3..][..h * w * 3];
                resize(y, size, image, w, bounds);
            });
    }
}
