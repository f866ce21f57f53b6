//! `augment_blur`: a separable Gaussian whose width is drawn for each view; then solarize, normalise.
//!
//! SimCLR's: taps up to a twentieth of the image's side away (23 at 224), sampled at the pixels, sum 1;
//! edges are repeated. (PIL's own blur is three box filters, which differ below sigma 1/2.)
use super::{
    augment::{Normalisation, table},
    augment_color::solarized,
};
use crate::{
    Result, Tensor,
    device::{
        Arch, Grid, Host, Kernel, Real,
        kernels::{AugmentBlurColumns, AugmentBlurLines},
    },
    tensor::Element,
};
use rayon::prelude::*;

/// x (rows, h, w, 3) f32 in 0..255, table (rows, 16) -> real (rows, h, w, 3).
pub fn forward(x: &Tensor, table: &Tensor, n: Normalisation) -> Result<Tensor> {
    let [rows, h, w, channels] = x.dims_of();
    assert_eq!((channels, x.element()), (3, Element::F32), "blur");
    assert_eq!(table.dims(), [rows, table::COLS], "blur: the table");
    let radius = radius(h.max(w));
    let lines = Tensor::uninit(x.device(), Element::F32, x.shape().clone())?;
    let y = Tensor::uninit(x.device(), Element::Real, x.shape().clone())?;
    let (rows, height, width) = (rows as u32, h as u32, w as u32);
    x.device().launch(AugmentBlurLines {
        x: x.ptr(),
        table: table.ptr(),
        y: lines.ptr(),
        rows,
        height,
        width,
        radius,
    })?;
    x.device().launch(AugmentBlurColumns {
        x: lines.ptr(),
        table: table.ptr(),
        y: y.ptr(),
        rows,
        height,
        width,
        radius,
        scale_r: n.scale[0],
        scale_g: n.scale[1],
        scale_b: n.scale[2],
        shift_r: n.shift[0],
        shift_g: n.shift[1],
        shift_b: n.shift[2],
    })?;
    Ok(y)
}

/// A twentieth of the side, at least 1; the kernel has room for 127 taps.
fn radius(side: usize) -> u32 {
    let radius = (side / 20).max(1);
    assert!(radius <= 63, "blur: images of side {side}");
    radius as u32
}

/// The taps of one view, their sum 1; the one tap 1 where no blur was drawn.
fn taps(row: &[f32], radius: u32) -> Vec<f32> {
    let sigma = row[table::SIGMA];
    if sigma == 0.0 {
        return vec![1.0];
    }
    let radius = radius as i32;
    let tap = |i: i32| (-0.5 * (i * i) as f32 / (sigma * sigma)).exp();
    let taps: Vec<f32> = (-radius..=radius).map(tap).collect();
    let sum: f32 = taps.iter().sum();
    taps.iter().map(|tap| tap / sum).collect()
}

/// y += tap x.
fn add_scaled(y: &mut [f32], tap: f32, x: &[f32]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += tap * x);
}

impl Kernel for AugmentBlurLines {
    fn grid(&self, _: Arch) -> Grid {
        Grid::rows(self.rows * self.height, self.width * 3)
    }
    fn bytes(&self, _: Real) -> u64 {
        self.rows as u64 * self.height as u64 * self.width as u64 * 3 * 8
    }
    fn on_cpu(&self, memory: &Host) {
        let [rows, h, w] = [self.rows, self.height, self.width].map(|n| n as usize);
        let x = memory.read::<f32>(self.x, rows * h * w * 3);
        let y = memory.write::<f32>(self.y, rows * h * w * 3);
        let table = memory.read::<f32>(self.table, rows * table::COLS);
        y.par_chunks_exact_mut(h * w * 3)
            .zip(x.par_chunks_exact(h * w * 3))
            .zip(table.par_chunks_exact(table::COLS))
            .for_each(|((y, x), row)| {
                let taps = taps(row, self.radius);
                let radius = taps.len() / 2;
                let mut padded = vec![0.0; (w + 2 * radius) * 3]; // the edges repeated
                for (y, x) in y.chunks_exact_mut(w * 3).zip(x.chunks_exact(w * 3)) {
                    for (i, pixel) in padded.chunks_exact_mut(3).enumerate() {
                        let from = i.saturating_sub(radius).min(w - 1);
                        pixel.copy_from_slice(&x[from * 3..][..3]);
                    }
                    y.fill(0.0);
                    for (i, &tap) in taps.iter().enumerate() {
                        add_scaled(y, tap, &padded[i * 3..][..w * 3]);
                    }
                }
            });
    }
}

impl Kernel for AugmentBlurColumns {
    fn grid(&self, _: Arch) -> Grid {
        Grid::rows(self.rows * self.height, self.width * 3)
    }
    fn bytes(&self, real: Real) -> u64 {
        self.rows as u64 * self.height as u64 * self.width as u64 * 3 * (4 + real.bytes())
    }
    fn on_cpu(&self, memory: &Host) {
        let [rows, h, w] = [self.rows, self.height, self.width].map(|n| n as usize);
        let x = memory.read::<f32>(self.x, rows * h * w * 3);
        let y = memory.write::<f32>(self.y, rows * h * w * 3);
        let table = memory.read::<f32>(self.table, rows * table::COLS);
        let scale = [self.scale_r, self.scale_g, self.scale_b];
        let shift = [self.shift_r, self.shift_g, self.shift_b];
        y.par_chunks_exact_mut(h * w * 3)
            .zip(x.par_chunks_exact(h * w * 3))
            .zip(table.par_chunks_exact(table::COLS))
            .for_each(|((y, x), row)| {
                let taps = taps(row, self.radius);
                let radius = taps.len() / 2;
                for (line, y) in y.chunks_exact_mut(w * 3).enumerate() {
                    y.fill(0.0);
                    for (i, &tap) in taps.iter().enumerate() {
                        let from = (line + i).saturating_sub(radius).min(h - 1);
                        add_scaled(y, tap, &x[from * w * 3..][..w * 3]);
                    }
                    for pixel in y.chunks_exact_mut(3) {
                        for (c, v) in pixel.iter_mut().enumerate() {
                            *v = solarized(*v, row[table::SOLARIZE]) * scale[c] + shift[c];
                        }
                    }
                }
            });
    }
}
