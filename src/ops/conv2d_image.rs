//! `conv2d_image`: `conv2d` of images, whose few channels tensor cores cannot take as they are. There
//! stride x stride pixels become one of stride^2 c channels (space to depth), zeros fill them up to a
//! multiple of eight, and the window shrinks accordingly: 7 x 7 at stride 2 over 3 channels becomes 4 x 4
//! at stride 1 over 16. Elsewhere it is `conv2d`.
use super::{
    batch_norm::Partial,
    conv2d::{self, Stride},
};
use crate::{
    Result, Tape, Tensor, Var,
    device::{
        Arch, Grid, Host, Kernel, Real,
        kernels::{
            Conv2dImageFold, Conv2dImageFoldWeight, Conv2dImageUnfoldGradient, FoldedWeight, Window,
        },
    },
    tensor::Element,
};
use rayon::prelude::*;

/// As [`conv2d_with_statistics`](conv2d::conv2d_with_statistics): x (n, h, w, c), weight (k, r, s, c).
pub fn conv2d_image(
    tape: &mut Tape,
    x: &Var,
    weight: &Var,
    stride: Stride,
) -> Result<(Var, Option<Partial>)> {
    let g = conv2d::geometry(x.value.dims_of(), weight.value.dims_of(), stride);
    let arch = x.value.device().arch();
    let has_tensor_cores = arch.real == Real::Bf16 && arch.compute >= 80;
    if !has_tensor_cores || !g.k.is_multiple_of(8) || g.c.is_multiple_of(8) {
        return conv2d::conv2d_with_statistics(tape, x, weight, stride);
    }
    let fold = Fold::of(g);
    let folded = fold.image(&x.value)?;
    let (y, statistics) = fold.forward(&folded, &weight.value)?;
    let (size, wv) = (x.value.dims_of(), weight.value.clone());
    let y = tape.record(
        "conv2d_image",
        [x, weight],
        y,
        move |dy, [need_x, need_w]| {
            Ok([
                need_x
                    .then(|| conv2d::input_gradient(&dy, &wv, size, stride))
                    .transpose()?,
                need_w
                    .then(|| fold.weight_gradient(&dy, &folded))
                    .transpose()?,
            ])
        },
    );
    Ok((y, statistics))
}

/// How an image and a weight are folded.
#[derive(Clone, Copy, Debug)]
pub struct Fold {
    /// Of the image, before.
    g: Window,
    /// After: stride 1.
    folded: Window,
    /// Rows of zeros above the weight's first, so that its window starts at a folded pixel.
    shift: u32,
}

impl Fold {
    pub fn of(g: Window) -> Fold {
        let (f, padding) = (g.stride, g.padding.div_ceil(g.stride));
        let shift = f * padding - g.padding;
        let folded = Window {
            h: g.h.div_ceil(f),
            w: g.w.div_ceil(f),
            c: (f * f * g.c).next_multiple_of(8),
            r: (g.r - 1 + shift) / f + 1,
            s: (g.s - 1 + shift) / f + 1,
            stride: 1,
            padding,
            ..g
        };
        Fold { g, folded, shift }
    }

    /// x (n, h, w, c) to (n, h / stride, w / stride, folded).
    pub fn image(&self, x: &Tensor) -> Result<Tensor> {
        let (g, t) = (&self.g, &self.folded);
        let shape = [t.n, t.h, t.w, t.c].map(|d| d as usize);
        let y = Tensor::uninit(x.device(), Element::Real, shape)?;
        x.device().launch(Conv2dImageFold {
            x: x.ptr(),
            y: y.ptr(),
            n: g.n,
            h: g.h,
            w: g.w,
            c: g.c,
            f: g.stride,
            folded: t.c,
        })?;
        Ok(y)
    }

    fn weight(&self) -> FoldedWeight {
        let (g, t) = (&self.g, &self.folded);
        FoldedWeight {
            k: g.k,
            r: g.r,
            s: g.s,
            c: g.c,
            f: g.stride,
            shift: self.shift,
            folded_r: t.r,
            folded_s: t.s,
            folded: t.c,
        }
    }

    /// y (n, p, q, k) of a folded image.
    pub fn forward(&self, x: &Tensor, weight: &Tensor) -> Result<(Tensor, Option<Partial>)> {
        let t = &self.folded;
        let shape = [t.k, t.r, t.s, t.c].map(|d| d as usize);
        let folded = Tensor::uninit(x.device(), Element::Real, shape)?;
        x.device().launch(Conv2dImageFoldWeight {
            weight: weight.ptr(),
            y: folded.ptr(),
            g: self.weight(),
        })?;
        conv2d::forward_of(x, &folded, self.folded)
    }

    /// d weight (k, r, s, c), f32.
    pub fn weight_gradient(&self, dy: &Tensor, x: &Tensor) -> Result<Tensor> {
        let g = &self.g;
        let folded = conv2d::weight_gradient_of(dy, x, self.folded)?;
        let shape = [g.k, g.r, g.s, g.c].map(|d| d as usize);
        let dw = Tensor::uninit(dy.device(), Element::F32, shape)?;
        dy.device().launch(Conv2dImageUnfoldGradient {
            dfolded: folded.ptr(),
            dweight: dw.ptr(),
            g: self.weight(),
        })?;
        Ok(dw)
    }
}

/// y[outer, i, inner] = value(outer, i): what all three kernels are on the CPU.
fn fill<T: Send>(y: &mut [T], row: usize, value: impl Fn(usize, usize) -> T + Sync) {
    y.par_chunks_mut(row).enumerate().for_each(|(outer, y)| {
        (y.iter_mut().enumerate()).for_each(|(i, y)| *y = value(outer, i));
    });
}

impl Kernel for Conv2dImageFold {
    fn grid(&self, _: Arch) -> Grid {
        let pixels = self.h.div_ceil(self.f) as u64 * self.w.div_ceil(self.f) as u64;
        Grid::elements(self.n as u64 * pixels * self.folded as u64 / 8)
    }
    fn bytes(&self, real: Real) -> u64 {
        let folded = self.h.div_ceil(self.f) as u64 * self.w.div_ceil(self.f) as u64;
        let image = self.h as u64 * self.w as u64 * self.c as u64;
        real.bytes() * self.n as u64 * (image + folded * self.folded as u64)
    }
    fn on_cpu(&self, memory: &Host) {
        let [n, h, w, c, f] = [self.n, self.h, self.w, self.c, self.f].map(|d| d as usize);
        let (height, width, folded) = (h.div_ceil(f), w.div_ceil(f), self.folded as usize);
        let x = memory.read::<f32>(self.x, n * h * w * c);
        let y = memory.write::<f32>(self.y, n * height * width * folded);
        fill(y, folded, |pixel, d| {
            let (i, j) = (
                pixel / width % height * f + d / c / f,
                pixel % width * f + d / c % f,
            );
            match d < f * f * c && i < h && j < w {
                true => x[((pixel / width / height * h + i) * w + j) * c + d % c],
                false => 0.0,
            }
        });
    }
}

impl Kernel for Conv2dImageFoldWeight {
    fn grid(&self, _: Arch) -> Grid {
        Grid::elements(self.g.k as u64 * (self.g.folded_r * self.g.folded_s * self.g.folded) as u64)
    }
    fn bytes(&self, real: Real) -> u64 {
        let folded = self.g.folded_r * self.g.folded_s * self.g.folded;
        real.bytes() * self.g.k as u64 * (self.g.r * self.g.s * self.g.c + folded) as u64
    }
    fn on_cpu(&self, memory: &Host) {
        let [k, r, s, c, f] =
            [self.g.k, self.g.r, self.g.s, self.g.c, self.g.f].map(|d| d as usize);
        let [fr, fs, folded] =
            [self.g.folded_r, self.g.folded_s, self.g.folded].map(|d| d as usize);
        let weight = memory.read::<f32>(self.weight, k * r * s * c);
        let y = memory.write::<f32>(self.y, k * fr * fs * folded);
        fill(y, folded, |outer, d| {
            let (tap, k) = (outer % (fr * fs), outer / (fr * fs));
            let above = |tap: usize, d: usize| (tap * f + d).checked_sub(self.g.shift as usize);
            match (above(tap / fs, d / c / f), above(tap % fs, d / c % f)) {
                (Some(i), Some(j)) if d < f * f * c && i < r && j < s => {
                    weight[((k * r + i) * s + j) * c + d % c]
                }
                _ => 0.0,
            }
        });
    }
}

impl Kernel for Conv2dImageUnfoldGradient {
    fn grid(&self, _: Arch) -> Grid {
        Grid::elements(self.g.k as u64 * (self.g.r * self.g.s * self.g.c) as u64)
    }
    fn bytes(&self, _: Real) -> u64 {
        8 * self.g.k as u64 * (self.g.r * self.g.s * self.g.c) as u64
    }
    fn on_cpu(&self, memory: &Host) {
        let [k, r, s, c, f] =
            [self.g.k, self.g.r, self.g.s, self.g.c, self.g.f].map(|d| d as usize);
        let [fr, fs, folded] =
            [self.g.folded_r, self.g.folded_s, self.g.folded].map(|d| d as usize);
        let dfolded = memory.read::<f32>(self.dfolded, k * fr * fs * folded);
        let dweight = memory.write::<f32>(self.dweight, k * r * s * c);
        fill(dweight, c, |outer, channel| {
            let shift = self.g.shift as usize;
            let (i, j) = (outer / s % r + shift, outer % s + shift);
            let d = (i % f * f + j % f) * c + channel;
            dfolded[((outer / s / r * fr + i / f) * fs + j / f) * folded + d]
        });
    }
}
