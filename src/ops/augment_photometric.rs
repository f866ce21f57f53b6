//! `augment_photometric`: PIRL's photometric changes (vissl's `ImgPilRandomPhotometric`): posterize,
//! sharpness, solarize and autocontrast, one after another as PIL has them; then grayscale.
use super::{
    augment::table,
    augment_color::{luma, solarized},
};
use crate::{
    Result, Tensor,
    device::{Arch, Grid, Host, Kernel, Real, kernels::AugmentPhotometric},
    tensor::Element,
};
use rayon::prelude::*;

/// x (rows, h, w, 3) f32 in 0..255, table (rows, 16) -> f32 likewise. Rows whose table says so are changed:
/// rounded to whole numbers, then as the table describes, their contrast stretched to 0..255 channel by
/// channel. Rows that are grey after it become so.
pub fn forward(x: &Tensor, table: &Tensor) -> Result<Tensor> {
    let [rows, h, w, channels] = x.dims_of();
    assert_eq!((channels, x.element()), (3, Element::F32), "photometric");
    assert_eq!(table.dims(), [rows, table::COLS], "photometric: the table");
    let y = Tensor::uninit(x.device(), Element::F32, x.shape().clone())?;
    x.device().launch(AugmentPhotometric {
        x: x.ptr(),
        table: table.ptr(),
        y: y.ptr(),
        rows: rows as u32,
        height: h as u32,
        width: w as u32,
    })?;
    Ok(y)
}

/// x (height, width, 3), sharpened: `smooth + factor (v - smooth)`, where smooth is a pixel's mean with its
/// neighbours, itself five times; the border stays.
fn sharpen(x: &[f32], [height, width]: [usize; 2], factor: f32) -> Vec<f32> {
    let mut y = x.to_vec();
    let line = 3 * width;
    for row in 1..height.max(1) - 1 {
        for at in row * line + 3..(row + 1) * line - 3 {
            let around = [at - line, at, at + line];
            let sum: f32 = around.iter().map(|&at| x[at - 3] + x[at] + x[at + 3]).sum();
            let smooth = ((sum + 4.0 * x[at]) * (1.0 / 13.0)).round_ties_even();
            y[at] = (smooth + factor * (x[at] - smooth))
                .floor()
                .clamp(0.0, 255.0);
        }
    }
    y
}

/// Every channel of x (pixels, 3) from its least and greatest value to 0 and 255.
fn stretch_contrast(x: &mut [f32]) {
    for channel in 0..3 {
        let values = || x.iter().skip(channel).step_by(3);
        let low = values().fold(255.0, |low: f32, &v| low.min(v));
        let high = values().fold(0.0, |high: f32, &v| high.max(v));
        if high > low {
            let stretch = 255.0 / (high - low);
            let values = x.iter_mut().skip(channel).step_by(3);
            values.for_each(|v| *v = (*v - low) * stretch);
        }
    }
}

impl Kernel for AugmentPhotometric {
    fn grid(&self, _: Arch) -> Grid {
        Grid::rows(self.rows, self.height * self.width)
    }
    fn bytes(&self, _: Real) -> u64 {
        self.rows as u64 * (self.height * self.width) as u64 * 3 * (4 + 4)
    }
    fn on_cpu(&self, memory: &Host) {
        let sides = [self.height as usize, self.width as usize];
        let (rows, view) = (self.rows as usize, sides[0] * sides[1] * 3);
        let x = memory.read::<f32>(self.x, rows * view);
        let y = memory.write::<f32>(self.y, rows * view);
        let table = memory.read::<f32>(self.table, rows * table::COLS);
        y.par_chunks_exact_mut(view)
            .zip(x.par_chunks_exact(view))
            .zip(table.par_chunks_exact(table::COLS))
            .for_each(|((y, x), row)| {
                y.copy_from_slice(x);
                if row[table::PHOTOMETRIC] != 0.0 {
                    let step = row[table::POSTERIZE];
                    let posterize = |v: &mut f32| *v = step * (v.round_ties_even() / step).floor();
                    y.iter_mut().for_each(posterize);
                    y.copy_from_slice(&sharpen(y, sides, row[table::SHARPNESS]));
                    y.iter_mut()
                        .for_each(|v| *v = solarized(*v, row[table::INVERT]));
                    stretch_contrast(y);
                }
                if row[table::GRAY] == table::GRAY_PHOTOMETRIC {
                    let pixels = y.as_chunks_mut::<3>().0.iter_mut();
                    pixels.for_each(|v| *v = [luma(*v); 3]);
                }
            });
    }
}
