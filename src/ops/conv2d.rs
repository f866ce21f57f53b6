//! `conv2d`: `y[n,p,q,k]` = sum over r, s, c of `x[n, p stride + r - padding, q stride + s - padding, c]`
//! times `weight[k,r,s,c]`. NHWC activations, KRSC weights, any window, stride and padding.
mod cpu;
mod maps;
mod tiles;

use crate::{
    Result, Tape, Tensor, Var,
    device::{
        Arch, Grid, Host, Kernel, KernelInfo, Parameters, Ptr, Real, TensorMap,
        kernels::{Conv2dForward, Conv2dInputGradient, Conv2dWeightGradient, SumSplits, Window},
    },
    ops::batch_norm::{self, Partial},
    tape::sum,
    tensor::Element,
};
use rayon::prelude::*;

use tiles::Tile::{Mma, Plain, Wgmma};
pub use tiles::splits;

/// How a window walks over its input, the same in height and width.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stride {
    pub stride: u32,
    pub padding: u32,
}

/// x (n, h, w, c), weight (k, r, s, c): y (n, p, q, k), p = (h + 2 padding - r) / stride + 1. The weight's
/// gradient is f32.
pub fn conv2d(tape: &mut Tape, x: &Var, weight: &Var, stride: Stride) -> Result<Var> {
    let y = forward(&x.value, &weight.value, stride)?;
    Ok(record(tape, x, weight, y, stride))
}

/// `conv2d`, and what a batch norm of y will ask, where the kernel can tell while it has y at hand.
pub fn conv2d_with_statistics(
    tape: &mut Tape,
    x: &Var,
    weight: &Var,
    stride: Stride,
) -> Result<(Var, Option<Partial>)> {
    let (y, statistics) = forward_with_statistics(&x.value, &weight.value, stride)?;
    Ok((record(tape, x, weight, y, stride), statistics))
}

fn record(tape: &mut Tape, x: &Var, weight: &Var, y: Tensor, stride: Stride) -> Var {
    let (xv, wv) = (x.value.clone(), weight.value.clone());
    tape.record_adding("conv2d", [x, weight], y, move |dy, [need_x, need_w]| {
        let dx = |onto: Option<Tensor>| {
            input_gradient_onto(&dy, &wv, xv.dims_of(), stride, onto.as_ref())
        };
        let dw = |onto: Option<Tensor>| {
            let dw = weight_gradient(&dy, &xv, wv.dims_of(), stride)?;
            onto.map_or(Ok(dw.clone()), |onto| sum(&onto, &dw))
        };
        Ok([
            need_x.onto().map(dx).transpose()?,
            need_w.onto().map(dw).transpose()?,
        ])
    })
}

pub fn forward(x: &Tensor, weight: &Tensor, stride: Stride) -> Result<Tensor> {
    let g = geometry(x.dims_of(), weight.dims_of(), stride);
    launch_forward(x, weight, g, None)
}

pub fn forward_with_statistics(
    x: &Tensor,
    weight: &Tensor,
    stride: Stride,
) -> Result<(Tensor, Option<Partial>)> {
    forward_of(x, weight, geometry(x.dims_of(), weight.dims_of(), stride))
}

/// The same over any window: one that is not padded alike on all sides.
pub(super) fn forward_of(
    x: &Tensor,
    weight: &Tensor,
    g: Window,
) -> Result<(Tensor, Option<Partial>)> {
    if !tiles::tells_statistics(&g, x.device().arch()) {
        return Ok((launch_forward(x, weight, g, None)?, None));
    }
    let chunk_rows = tiles::STATISTICS_ROWS;
    let chunks = (g.n * g.p * g.q).div_ceil(chunk_rows) as usize;
    let chunks = Tensor::uninit(x.device(), Element::F32, [chunks, 2, g.k as usize])?;
    let y = launch_forward(x, weight, g, Some(&chunks))?;
    Ok((y, Some(Partial { chunks, chunk_rows })))
}

fn launch_forward(
    x: &Tensor,
    weight: &Tensor,
    g: Window,
    statistics: Option<&Tensor>,
) -> Result<Tensor> {
    let y = Tensor::uninit(x.device(), Element::Real, g.output())?;
    x.device().launch(Conv2dForward {
        x: x.ptr(),
        weight: weight.ptr(),
        y: y.ptr(),
        statistics: statistics.map_or(Ptr::NULL, Tensor::ptr),
        g,
    })?;
    Ok(y)
}

/// dx (n, h, w, c) of dy (n, p, q, k).
pub fn input_gradient(
    dy: &Tensor,
    weight: &Tensor,
    x: [usize; 4],
    stride: Stride,
) -> Result<Tensor> {
    input_gradient_onto(dy, weight, x, stride, None)
}

/// dx added to `onto`, another gradient of x: what a residual block has at its beginning.
pub fn input_gradient_onto(
    dy: &Tensor,
    weight: &Tensor,
    x: [usize; 4],
    stride: Stride,
    onto: Option<&Tensor>,
) -> Result<Tensor> {
    let g = geometry(x, weight.dims_of(), stride);
    g.check_output(dy);
    if let Some(onto) = onto {
        assert_eq!(onto.dims(), x, "conv2d: gradients of one value");
    }
    let dx = Tensor::uninit(dy.device(), Element::Real, x)?;
    dy.device().launch(Conv2dInputGradient {
        dy: dy.ptr(),
        weight: weight.ptr(),
        onto: onto.map_or(Ptr::NULL, Tensor::ptr),
        dx: dx.ptr(),
        g,
    })?;
    Ok(dx)
}

/// d weight (k, r, s, c), f32: the sum over all output pixels, split into ranges that are added in order.
pub fn weight_gradient(
    dy: &Tensor,
    x: &Tensor,
    weight: [usize; 4],
    stride: Stride,
) -> Result<Tensor> {
    weight_gradient_of(dy, x, geometry(x.dims_of(), weight, stride))
}

/// The same over any window.
pub(super) fn weight_gradient_of(dy: &Tensor, x: &Tensor, g: Window) -> Result<Tensor> {
    g.check_output(dy);
    let weight = [g.k, g.r, g.s, g.c].map(|d| d as usize);
    let (splits, range) = splits(&g, dy.device().arch());
    let len: usize = weight.iter().product();
    let partial = Tensor::uninit(dy.device(), Element::F32, [splits as usize, len])?;
    dy.device().launch(Conv2dWeightGradient {
        dy: dy.ptr(),
        x: x.ptr(),
        partial: partial.ptr(),
        g,
        splits,
        range,
    })?;
    if splits == 1 {
        return Ok(partial.reshape(weight));
    }
    let dw = Tensor::uninit(dy.device(), Element::F32, weight)?;
    dy.device().launch(SumSplits {
        partial: partial.ptr(),
        y: dw.ptr(),
        n: len as u64,
        splits,
    })?;
    Ok(dw)
}

/// The window of a convolution of x (n, h, w, c) with a weight (k, r, s, c).
pub fn geometry([n, h, w, c]: [usize; 4], [k, r, s, c2]: [usize; 4], stride: Stride) -> Window {
    assert_eq!(
        c, c2,
        "conv2d: x has {c} channels, weight (_, {r}, {s}, {c2})"
    );
    let [n, h, w, c, k, r, s] = [n, h, w, c, k, r, s].map(|d| d as u32);
    let Stride { stride, padding } = stride;
    assert!(
        h + 2 * padding >= r && w + 2 * padding >= s,
        "conv2d: a {r} x {s} window on {h} x {w}"
    );
    let out = |input: u32, window: u32| (input + 2 * padding - window) / stride + 1;
    Window {
        n,
        h,
        w,
        c,
        k,
        r,
        s,
        stride,
        padding,
        p: out(h, r),
        q: out(w, s),
    }
}

impl Window {
    /// The output's shape: (n, p, q, k).
    fn output(&self) -> [usize; 4] {
        [self.n, self.p, self.q, self.k].map(|d| d as usize)
    }
    fn check_output(&self, dy: &Tensor) {
        assert_eq!(
            dy.dims(),
            self.output(),
            "conv2d: the gradient's shape is not the output's"
        );
    }
    fn flops(&self) -> u64 {
        2 * self.outputs() * self.weights() / self.k as u64
    }
    fn inputs(&self) -> u64 {
        self.n as u64 * self.h as u64 * self.w as u64 * self.c as u64
    }
    fn outputs(&self) -> u64 {
        self.n as u64 * self.p as u64 * self.q as u64 * self.k as u64
    }
    fn weights(&self) -> u64 {
        self.k as u64 * self.r as u64 * self.s as u64 * self.c as u64
    }
}

impl Kernel for Conv2dForward {
    fn kernel(&self, arch: Arch) -> &'static KernelInfo {
        match tiles::forward(&self.g, arch) {
            Plain => Self::INFO,
            Mma([_, 64]) => Self::TILE_128X64,
            Mma(_) => Self::TILE_128X128,
            Wgmma([_, 64]) => Self::WGMMA_128X64,
            Wgmma([_, 128]) => Self::WGMMA_128X128,
            Wgmma(_) => Self::WGMMA_128X256,
        }
    }
    fn grid(&self, arch: Arch) -> Grid {
        let g = &self.g;
        tiles::forward(g, arch).grid([g.n * g.p * g.q, g.k], 1)
    }
    fn maps(&self, arch: Arch) -> Vec<TensorMap> {
        match tiles::forward(&self.g, arch) {
            Wgmma([_, columns]) => maps::forward(self, columns),
            _ => Vec::new(),
        }
    }
    fn bytes(&self, real: Real) -> u64 {
        let g = &self.g;
        real.bytes() * (g.inputs() + g.weights() + g.outputs())
    }
    fn flops(&self) -> u64 {
        self.g.flops()
    }
    fn on_cpu(&self, memory: &Host) {
        let g = &self.g;
        let x = memory.read::<f32>(self.x, g.inputs() as usize);
        let weight = memory.read::<f32>(self.weight, g.weights() as usize);
        let y = memory.write::<f32>(self.y, g.outputs() as usize);
        cpu::forward(g, x, weight, y);
        if !self.statistics.is_null() {
            let (rows, channels) = (tiles::STATISTICS_ROWS as usize, g.k as usize);
            let chunks = (y.len() / channels).div_ceil(rows);
            let partial = memory.write::<f32>(self.statistics, chunks * 2 * channels);
            batch_norm::chunk_statistics(y, channels, rows, partial);
        }
    }
}

impl Kernel for Conv2dInputGradient {
    fn kernel(&self, arch: Arch) -> &'static KernelInfo {
        match tiles::input_gradient(&self.g, arch) {
            Plain => Self::INFO,
            Mma([_, 64]) => Self::TILE_128X64,
            Mma(_) => Self::TILE_128X128,
            Wgmma([_, 64]) => Self::WGMMA_128X64,
            Wgmma([_, 128]) => Self::WGMMA_128X128,
            Wgmma(_) => Self::WGMMA_128X256,
        }
    }
    fn grid(&self, arch: Arch) -> Grid {
        let g = &self.g;
        match tiles::input_gradient(g, arch) {
            Plain => Plain.grid([g.n * g.h * g.w, g.c], 1),
            // A layer of blocks for each phase; the first phase has most pixels.
            tile => {
                let rows = g.n * g.h.div_ceil(g.stride) * g.w.div_ceil(g.stride);
                tile.grid([rows, g.c], g.stride * g.stride)
            }
        }
    }
    fn maps(&self, arch: Arch) -> Vec<TensorMap> {
        match tiles::input_gradient(&self.g, arch) {
            Wgmma(_) => maps::input_gradient(self),
            _ => Vec::new(),
        }
    }
    fn bytes(&self, real: Real) -> u64 {
        let g = &self.g;
        let onto = if self.onto.is_null() { 0 } else { g.inputs() };
        real.bytes() * (g.inputs() + onto + g.weights() + g.outputs())
    }
    fn flops(&self) -> u64 {
        self.g.flops()
    }
    fn on_cpu(&self, memory: &Host) {
        let g = &self.g;
        let dy = memory.read::<f32>(self.dy, g.outputs() as usize);
        let weight = memory.read::<f32>(self.weight, g.weights() as usize);
        let dx = memory.write::<f32>(self.dx, g.inputs() as usize);
        cpu::input_gradient(g, dy, weight, dx);
        if !self.onto.is_null() {
            let onto = memory.read::<f32>(self.onto, dx.len());
            dx.par_iter_mut()
                .zip(onto)
                .for_each(|(dx, onto)| *dx += onto);
        }
    }
}

impl Kernel for Conv2dWeightGradient {
    fn kernel(&self, arch: Arch) -> &'static KernelInfo {
        match tiles::weight_gradient(&self.g, arch) {
            Plain => Self::INFO,
            Mma([64, _]) => Self::TILE_64X128,
            Mma(_) => Self::TILE_128X128,
            Wgmma([64, _]) => Self::WGMMA_64X128,
            Wgmma(_) => Self::WGMMA_128X128,
        }
    }
    fn grid(&self, arch: Arch) -> Grid {
        let g = &self.g;
        tiles::weight_gradient(g, arch).grid([g.k, g.r * g.s * g.c], self.splits)
    }
    fn maps(&self, arch: Arch) -> Vec<TensorMap> {
        match tiles::weight_gradient(&self.g, arch) {
            Wgmma(_) => maps::weight_gradient(self),
            _ => Vec::new(),
        }
    }
    fn bytes(&self, real: Real) -> u64 {
        let g = &self.g;
        real.bytes() * (g.inputs() + g.outputs()) + 4 * self.splits as u64 * g.weights()
    }
    fn flops(&self) -> u64 {
        self.g.flops()
    }
    fn on_cpu(&self, memory: &Host) {
        let g = &self.g;
        let dy = memory.read::<f32>(self.dy, g.outputs() as usize);
        let x = memory.read::<f32>(self.x, g.inputs() as usize);
        let partial =
            memory.write::<f32>(self.partial, self.splits as usize * g.weights() as usize);
        cpu::weight_gradient(g, self.range as usize, dy, x, partial);
    }
}

impl Kernel for SumSplits {
    fn grid(&self, _: Arch) -> Grid {
        Grid::elements(self.n)
    }
    fn bytes(&self, _: Real) -> u64 {
        4 * self.n * (self.splits as u64 + 1)
    }
    fn on_cpu(&self, memory: &Host) {
        let n = self.n as usize;
        let partial = memory.read::<f32>(self.partial, n * self.splits as usize);
        cpu::sum_splits(partial, memory.write::<f32>(self.y, n));
    }
}
