//! `augment_color`: colour jitter, grayscale, solarize and normalisation, as the table says.
//!
//! Channels are floats in 0..255, clipped but not rounded after each operation; otherwise PIL's: blends
//! with black (brightness), with the mean of L (contrast), with L (saturation), and turns of the hue.
use super::augment::{Normalisation, table};
use crate::{
    Result, Tensor,
    device::{
        Arch, Grid, Host, Kernel, Ptr, Real,
        kernels::{AugmentColor, AugmentJitter},
    },
    tensor::Element,
};
use rayon::prelude::*;

/// pixels (rows, h, w, 3) u8, table (rows, 16) -> real (rows, h, w, 3). Without a table, only normalises.
/// The table's blur is not done here.
pub fn forward(pixels: &Tensor, table: Option<&Tensor>, n: Normalisation) -> Result<Tensor> {
    let y = Tensor::uninit(pixels.device(), Element::Real, pixels.shape().clone())?;
    let (rows, pixels_each) = checked(pixels, table);
    pixels.device().launch(AugmentColor {
        x: pixels.ptr(),
        table: table.map_or(Ptr::NULL, Tensor::ptr),
        y: y.ptr(),
        rows,
        pixels: pixels_each,
        scale_r: n.scale[0],
        scale_g: n.scale[1],
        scale_b: n.scale[2],
        shift_r: n.shift[0],
        shift_g: n.shift[1],
        shift_b: n.shift[2],
    })?;
    Ok(y)
}

/// What comes before a blur: pixels (rows, h, w, 3) u8 -> f32 in 0..255, jittered and maybe grey.
pub fn jitter(pixels: &Tensor, table: &Tensor) -> Result<Tensor> {
    let y = Tensor::uninit(pixels.device(), Element::F32, pixels.shape().clone())?;
    let (rows, pixels_each) = checked(pixels, Some(table));
    pixels.device().launch(AugmentJitter {
        x: pixels.ptr(),
        table: table.ptr(),
        y: y.ptr(),
        rows,
        pixels: pixels_each,
    })?;
    Ok(y)
}

/// Rows, and pixels of each.
fn checked(pixels: &Tensor, table: Option<&Tensor>) -> (u32, u32) {
    let [rows, h, w, channels] = pixels.dims_of();
    assert_eq!((channels, pixels.element()), (3, Element::U8), "augment");
    if let Some(table) = table {
        assert_eq!(table.dims(), [rows, table::COLS], "augment: the table");
    }
    (rows as u32, (h * w) as u32)
}

/// The channels of one view, apart: what is done to them is done to whole slices.
struct Planes([Vec<f32>; 3]);

impl Planes {
    fn new(pixels: usize) -> Planes {
        Planes([(); 3].map(|()| vec![0.0; pixels]))
    }

    fn load(&mut self, x: &[u8]) {
        let [r, g, b] = &mut self.0;
        for (((r, g), b), x) in r.iter_mut().zip(g).zip(b).zip(x.chunks_exact(3)) {
            (*r, *g, *b) = (x[0] as f32, x[1] as f32, x[2] as f32);
        }
    }

    fn store(&self, y: &mut [f32], n: Normalisation) {
        let [r, g, b] = &self.0;
        let Normalisation { scale, shift } = n;
        for (((r, g), b), y) in r.iter().zip(g).zip(b).zip(y.chunks_exact_mut(3)) {
            y[0] = r * scale[0] + shift[0];
            y[1] = g * scale[1] + shift[1];
            y[2] = b * scale[2] + shift[2];
        }
    }

    fn each(&mut self, mut change: impl FnMut([f32; 3]) -> [f32; 3]) {
        let [r, g, b] = &mut self.0;
        for ((r, g), b) in r.iter_mut().zip(g).zip(b) {
            [*r, *g, *b] = change([*r, *g, *b]);
        }
    }

    /// Jitter and grayscale, of a row of the table.
    fn jitter(&mut self, row: &[f32]) {
        if row[table::GRAY] == table::GRAY_FIRST {
            self.each(|v| [luma(v); 3]);
        }
        for &op in &row[table::ORDER..table::ORDER + 4] {
            let op = op as usize;
            if op == table::NONE {
                break;
            }
            let factor = row[table::FACTORS + op];
            match op {
                table::BRIGHTNESS => self.each(|v| blended(v, 0.0, factor)),
                table::CONTRAST => {
                    let mean = self.mean_luma();
                    self.each(|v| blended(v, mean, factor));
                }
                table::SATURATION => self.each(|v| blended(v, luma(v), factor)),
                _ => self.each(|v| turned(v, factor)),
            }
        }
        if row[table::GRAY] == table::GRAY_LAST {
            self.each(|v| [luma(v); 3]);
        }
    }

    /// L is linear, so its mean is that of the channels' means.
    fn mean_luma(&self) -> f32 {
        luma([0, 1, 2].map(|c| sum(&self.0[c]) / self.0[c].len() as f32))
    }
}

/// In a fixed order that the compiler can do eight at a time.
fn sum(values: &[f32]) -> f32 {
    let eights = values.chunks_exact(8);
    let rest: f32 = eights.remainder().iter().sum();
    let mut lanes = [0.0f32; 8];
    for eight in eights {
        lanes.iter_mut().zip(eight).for_each(|(lane, v)| *lane += v);
    }
    lanes.iter().sum::<f32>() + rest
}

/// PIL's "L", of ITU-R 601.
pub(super) fn luma([r, g, b]: [f32; 3]) -> f32 {
    (19595.0 / 65536.0) * r + (38470.0 / 65536.0) * g + (7471.0 / 65536.0) * b
}

/// factor v + (1 - factor) other, clipped.
fn blended(v: [f32; 3], other: f32, factor: f32) -> [f32; 3] {
    let rest = (1.0 - factor) * other;
    v.map(|v| (factor * v + rest).clamp(0.0, 255.0))
}

/// `turns` around the colour circle, value and saturation unchanged: with V the largest channel, C the
/// chroma and h the hue in 0..6, a channel is V - C max(0, min(k, 4 - k, 1)), k = n + h mod 6, n = 5, 3, 1.
fn turned([r, g, b]: [f32; 3], turns: f32) -> [f32; 3] {
    let larger = |a: f32, b: f32| if a > b { a } else { b };
    let smaller = |a: f32, b: f32| if a < b { a } else { b };
    let most = larger(r, larger(g, b));
    let chroma = most - smaller(r, smaller(g, b));
    let inverse = if chroma > 0.0 { 1.0 / chroma } else { 0.0 };
    let hue_b = (r - g) * inverse + 4.0;
    let hue_g = (b - r) * inverse + 2.0;
    let hue = if most == g { hue_g } else { hue_b };
    let hue = if most == r { (g - b) * inverse } else { hue };
    let hue = hue + 6.0 * turns; // in [-4, 8], as |turns| <= 1/2
    let hue = if hue < 0.0 { hue + 6.0 } else { hue };
    let hue = if hue >= 6.0 { hue - 6.0 } else { hue };
    [5.0, 3.0, 1.0].map(|n| {
        let k = n + hue;
        let k = if k >= 6.0 { k - 6.0 } else { k };
        most - chroma * larger(0.0, smaller(smaller(k, 4.0 - k), 1.0))
    })
}

/// v below the threshold, 255 - v at or above it.
pub(super) fn solarized(v: f32, threshold: f32) -> f32 {
    if v < threshold { v } else { 255.0 - v }
}

impl Kernel for AugmentColor {
    fn grid(&self, _: Arch) -> Grid {
        Grid::rows(self.rows, self.pixels)
    }
    fn bytes(&self, real: Real) -> u64 {
        self.rows as u64 * self.pixels as u64 * 3 * (1 + real.bytes())
    }
    fn on_cpu(&self, memory: &Host) {
        let (rows, pixels) = (self.rows as usize, self.pixels as usize);
        let x = memory.read::<u8>(self.x, rows * pixels * 3);
        let y = memory.write::<f32>(self.y, rows * pixels * 3);
        let table =
            (!self.table.is_null()).then(|| memory.read::<f32>(self.table, rows * table::COLS));
        let n = Normalisation {
            scale: [self.scale_r, self.scale_g, self.scale_b],
            shift: [self.shift_r, self.shift_g, self.shift_b],
        };
        y.par_chunks_exact_mut(pixels * 3)
            .zip(x.par_chunks_exact(pixels * 3))
            .enumerate()
            .for_each_init(
                || Planes::new(pixels),
                |planes, (row, (y, x))| {
                    planes.load(x);
                    if let Some(table) = table {
                        let row = &table[row * table::COLS..][..table::COLS];
                        planes.jitter(row);
                        if row[table::SOLARIZE] < 256.0 {
                            planes.each(|v| v.map(|v| solarized(v, row[table::SOLARIZE])));
                        }
                    }
                    planes.store(y, n);
                },
            );
    }
}

impl Kernel for AugmentJitter {
    fn grid(&self, _: Arch) -> Grid {
        Grid::rows(self.rows, self.pixels)
    }
    fn bytes(&self, _: Real) -> u64 {
        self.rows as u64 * self.pixels as u64 * 3 * (1 + 4)
    }
    fn on_cpu(&self, memory: &Host) {
        let (rows, pixels) = (self.rows as usize, self.pixels as usize);
        let x = memory.read::<u8>(self.x, rows * pixels * 3);
        let y = memory.write::<f32>(self.y, rows * pixels * 3);
        let table = memory.read::<f32>(self.table, rows * table::COLS);
        let as_they_are = Normalisation {
            scale: [1.0; 3],
            shift: [0.0; 3],
        };
        y.par_chunks_exact_mut(pixels * 3)
            .zip(x.par_chunks_exact(pixels * 3))
            .zip(table.par_chunks_exact(table::COLS))
            .for_each_init(
                || Planes::new(pixels),
                |planes, ((y, x), row)| {
                    planes.load(x);
                    planes.jitter(row);
                    planes.store(y, as_they_are);
                },
            );
    }
}
