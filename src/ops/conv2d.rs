//! `conv2d`: `y[n,p,q,k]` = sum over r, s, c of `x[n, p stride + r - padding, q stride + s - padding, c]`
//! times `weight[k,r,s,c]`. NHWC activations, KRSC weights, any window, stride and padding.
mod cpu;

use crate::{
    Result, Tape, Tensor, Var,
    device::{
        Arch, Grid, Host, Kernel, Real,
        kernels::{Conv2dForward, Conv2dInputGradient, Conv2dWeightGradient, SumSplits},
    },
    tensor::Element,
};
use cpu::Window;

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
    let (xv, wv) = (x.value.clone(), weight.value.clone());
    Ok(
        tape.record("conv2d", [x, weight], y, move |dy, [need_x, need_w]| {
            Ok([
                need_x
                    .then(|| input_gradient(&dy, &wv, xv.dims_of(), stride))
                    .transpose()?,
                need_w
                    .then(|| weight_gradient(&dy, &xv, wv.dims_of(), stride))
                    .transpose()?,
            ])
        }),
    )
}

pub fn forward(x: &Tensor, weight: &Tensor, stride: Stride) -> Result<Tensor> {
    let g = geometry(x.dims_of(), weight.dims_of(), stride);
    let y = Tensor::uninit(
        x.device(),
        Element::Real,
        [g.n, g.p, g.q, g.k].map(|d| d as usize),
    )?;
    let Window {
        n,
        h,
        w,
        c,
        k,
        r,
        s,
        stride,
        padding,
        p,
        q,
    } = g;
    let (px, pw, py) = (x.ptr(), weight.ptr(), y.ptr());
    x.device().launch(Conv2dForward {
        x: px,
        weight: pw,
        y: py,
        n,
        h,
        w,
        c,
        k,
        r,
        s,
        stride,
        padding,
        p,
        q,
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
    let g = geometry(x, weight.dims_of(), stride);
    g.check_output(dy);
    let dx = Tensor::uninit(dy.device(), Element::Real, x)?;
    let Window {
        n,
        h,
        w,
        c,
        k,
        r,
        s,
        stride,
        padding,
        p,
        q,
    } = g;
    let (pdy, pw, pdx) = (dy.ptr(), weight.ptr(), dx.ptr());
    dy.device().launch(Conv2dInputGradient {
        dy: pdy,
        weight: pw,
        dx: pdx,
        n,
        h,
        w,
        c,
        k,
        r,
        s,
        stride,
        padding,
        p,
        q,
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
    let g = geometry(x.dims_of(), weight, stride);
    g.check_output(dy);
    let (splits, range) = splits(&g);
    let len: usize = weight.iter().product();
    let partial = Tensor::uninit(dy.device(), Element::F32, [splits as usize, len])?;
    let Window {
        n,
        h,
        w,
        c,
        k,
        r,
        s,
        stride,
        padding,
        p,
        q,
    } = g;
    let (pdy, px) = (dy.ptr(), x.ptr());
    dy.device().launch(Conv2dWeightGradient {
        dy: pdy,
        x: px,
        partial: partial.ptr(),
        n,
        h,
        w,
        c,
        k,
        r,
        s,
        stride,
        padding,
        p,
        q,
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

fn geometry([n, h, w, c]: [usize; 4], [k, r, s, c2]: [usize; 4], stride: Stride) -> Window {
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

/// How many ranges of output pixels the weight gradient sums apart, and their length. A small weight has
/// few tiles, so only splits fill the machine; a large one would pay for each split with its own size.
fn splits(g: &Window) -> (u32, u32) {
    let pixels = g.n * g.p * g.q;
    let wanted = match g.k * g.r * g.s * g.c {
        0..32_768 => 32,
        32_768..262_144 => 16,
        262_144..1_048_576 => 4,
        _ => 2,
    };
    let range = pixels.div_ceil(wanted).max(256).next_multiple_of(16);
    (pixels.div_ceil(range), range)
}

impl Window {
    fn check_output(&self, dy: &Tensor) {
        let expected = [self.n, self.p, self.q, self.k].map(|d| d as usize);
        assert_eq!(
            dy.dims(),
            expected,
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

/// The window a launch describes.
macro_rules! window {
    ($kernel:expr) => {{
        let o = $kernel;
        Window {
            n: o.n,
            h: o.h,
            w: o.w,
            c: o.c,
            k: o.k,
            r: o.r,
            s: o.s,
            stride: o.stride,
            padding: o.padding,
            p: o.p,
            q: o.q,
        }
    }};
}

impl Kernel for Conv2dForward {
    fn grid(&self, _: Arch) -> Grid {
        Grid::blocks(
            [
                (self.n * self.p * self.q).div_ceil(64),
                self.k.div_ceil(64),
                1,
            ],
            [256, 1, 1],
        )
    }
    fn bytes(&self, real: Real) -> u64 {
        let g = window!(self);
        real.bytes() * (g.inputs() + g.weights() + g.outputs())
    }
    fn flops(&self) -> u64 {
        window!(self).flops()
    }
    fn on_cpu(&self, memory: &Host) {
        let g = window!(self);
        let x = memory.read::<f32>(self.x, g.inputs() as usize);
        let weight = memory.read::<f32>(self.weight, g.weights() as usize);
        cpu::forward(
            &g,
            x,
            weight,
            memory.write::<f32>(self.y, g.outputs() as usize),
        );
    }
}

impl Kernel for Conv2dInputGradient {
    fn grid(&self, _: Arch) -> Grid {
        Grid::blocks(
            [
                (self.n * self.h * self.w).div_ceil(64),
                self.c.div_ceil(64),
                1,
            ],
            [256, 1, 1],
        )
    }
    fn bytes(&self, real: Real) -> u64 {
        let g = window!(self);
        real.bytes() * (g.inputs() + g.weights() + g.outputs())
    }
    fn flops(&self) -> u64 {
        window!(self).flops()
    }
    fn on_cpu(&self, memory: &Host) {
        let g = window!(self);
        let dy = memory.read::<f32>(self.dy, g.outputs() as usize);
        let weight = memory.read::<f32>(self.weight, g.weights() as usize);
        cpu::input_gradient(
            &g,
            dy,
            weight,
            memory.write::<f32>(self.dx, g.inputs() as usize),
        );
    }
}

impl Kernel for Conv2dWeightGradient {
    fn grid(&self, _: Arch) -> Grid {
        let columns = self.r * self.s * self.c;
        Grid::blocks(
            [self.k.div_ceil(64), columns.div_ceil(64), self.splits],
            [256, 1, 1],
        )
    }
    fn bytes(&self, real: Real) -> u64 {
        let g = window!(self);
        real.bytes() * (g.inputs() + g.outputs()) + 4 * self.splits as u64 * g.weights()
    }
    fn flops(&self) -> u64 {
        window!(self).flops()
    }
    fn on_cpu(&self, memory: &Host) {
        let g = window!(self);
        let dy = memory.read::<f32>(self.dy, g.outputs() as usize);
        let x = memory.read::<f32>(self.x, g.inputs() as usize);
        let partial =
            memory.write::<f32>(self.partial, self.splits as usize * g.weights() as usize);
        cpu::weight_gradient(&g, self.range as usize, dy, x, partial);
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
