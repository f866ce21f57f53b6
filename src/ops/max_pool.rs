//! `max_pool`: y = the largest x of each window, channel by channel; nothing outside the image wins.
use crate::{
    Result, Tape, Tensor, Var,
    device::{
        Arch, Grid, Host, Kernel, Real,
        kernels::{MaxPoolBackward, MaxPoolForward},
    },
    tensor::Element,
};
use rayon::prelude::*;

/// x (n, h, w, c) to (n, (h + 2 padding - window) / stride + 1, .., c). At most half of a window is padding.
pub fn max_pool(tape: &mut Tape, x: &Var, window: u32, stride: u32, padding: u32) -> Result<Var> {
    let sizes = Sizes {
        window,
        stride,
        padding,
    };
    let dims = x.value.dims_of::<4>();
    let (y, index) = forward(&x.value, sizes)?;
    Ok(tape.record("max_pool", [x], y, move |dy, _| {
        Ok([Some(backward(&index, &dy, dims, sizes)?)])
    }))
}

/// In pixels, of height and width alike.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub window: u32,
    pub stride: u32,
    pub padding: u32,
}

impl Sizes {
    fn output(&self, pixels: usize) -> usize {
        let padded = pixels + 2 * self.padding as usize;
        (padded - self.window as usize) / self.stride as usize + 1
    }
}

/// y, and the winner's place in each window (u8), the first of equals.
pub fn forward(x: &Tensor, sizes: Sizes) -> Result<(Tensor, Tensor)> {
    let [images, height, width, channels] = x.dims_of();
    let Sizes {
        window,
        stride,
        padding,
    } = sizes;
    assert!(
        (1..16).contains(&window) && stride > 0 && padding <= window / 2,
        "max_pool: {sizes:?}"
    );
    let smallest = height.min(width) + 2 * padding as usize;
    assert!(window as usize <= smallest, "max_pool: {sizes:?} of {x:?}");
    let (out_height, out_width) = (sizes.output(height), sizes.output(width));
    let shape = [images, out_height, out_width, channels];
    let y = Tensor::uninit(x.device(), Element::Real, shape)?;
    let index = Tensor::uninit(x.device(), Element::U8, shape)?;
    x.device().launch(MaxPoolForward {
        x: x.ptr(),
        y: y.ptr(),
        index: index.ptr(),
        images: images as u32,
        height: height as u32,
        width: width as u32,
        channels: channels as u32,
        out_height: out_height as u32,
        out_width: out_width as u32,
        window,
        stride,
        padding,
    })?;
    Ok((y, index))
}

/// dx, of shape (n, h, w, c).
pub fn backward(index: &Tensor, dy: &Tensor, x_dims: [usize; 4], sizes: Sizes) -> Result<Tensor> {
    let [images, height, width, channels] = x_dims;
    let [_, out_height, out_width, _] = dy.dims_of();
    assert_eq!(index.shape(), dy.shape(), "max_pool: dy");
    let dx = Tensor::uninit(dy.device(), Element::Real, x_dims)?;
    dy.device().launch(MaxPoolBackward {
        index: index.ptr(),
        dy: dy.ptr(),
        dx: dx.ptr(),
        images: images as u32,
        height: height as u32,
        width: width as u32,
        channels: channels as u32,
        out_height: out_height as u32,
        out_width: out_width as u32,
        window: sizes.window,
        stride: sizes.stride,
        padding: sizes.padding,
    })?;
    Ok(dx)
}

/// 256 threads along a row of pixels and packs of 8 channels, a block a row as far as the grid goes.
fn rows_grid(rows: u32, pixels: u32, channels: u32) -> Grid {
    let columns = pixels * channels.div_ceil(8);
    Grid::blocks([columns.div_ceil(256), rows.min(65_535), 1], [256, 1, 1])
}

impl Kernel for MaxPoolForward {
    fn grid(&self, _: Arch) -> Grid {
        rows_grid(self.images * self.out_height, self.out_width, self.channels)
    }
    fn bytes(&self, real: Real) -> u64 {
        let inputs = self.height as u64 * self.width as u64;
        let outputs = self.out_height as u64 * self.out_width as u64;
        let planes = self.images as u64 * self.channels as u64;
        planes * (real.bytes() * inputs + (real.bytes() + 1) * outputs)
    }
    fn on_cpu(&self, memory: &Host) {
        let [height, width, channels] =
            [self.height, self.width, self.channels].map(|n| n as usize);
        let [window, stride, padding] =
            [self.window, self.stride, self.padding].map(|n| n as usize);
        let out_row = self.out_width as usize * channels;
        let rows = self.images as usize * self.out_height as usize;
        let x = memory.read::<f32>(self.x, self.images as usize * height * width * channels);
        let y = memory.write::<f32>(self.y, rows * out_row);
        let index = memory.write::<u8>(self.index, rows * out_row);
        let rows = y
            .par_chunks_mut(out_row)
            .zip(index.par_chunks_mut(out_row))
            .enumerate();
        rows.for_each(|(row, (y, index))| {
            let image = row / self.out_height as usize;
            let x = &x[image * height * width * channels..][..height * width * channels];
            let top = row % self.out_height as usize * stride;
            let down = inside(top, window, padding, height);
            let pixels = y
                .chunks_exact_mut(channels)
                .zip(index.chunks_exact_mut(channels));
            for (out_x, (y, index)) in pixels.enumerate() {
                let left = out_x * stride;
                let right = inside(left, window, padding, width);
                y.fill(f32::NEG_INFINITY);
                index.fill((down.start * window + right.start) as u8);
                for (down, right) in down
                    .clone()
                    .flat_map(|d| right.clone().map(move |r| (d, r)))
                {
                    let pixel = (top + down - padding) * width + left + right - padding;
                    let x = &x[pixel * channels..][..channels];
                    let place = (down * window + right) as u8;
                    for ((y, index), &x) in y.iter_mut().zip(index.iter_mut()).zip(x) {
                        let wins = x > *y || x.is_nan(); // NaN wins, to be seen
                        *y = if wins { x } else { *y };
                        *index = if wins { place } else { *index };
                    }
                }
            }
        });
    }
}

/// The places of a window that lie on one of `size` pixels; `start` is counted from the padding's edge.
fn inside(start: usize, window: usize, padding: usize, size: usize) -> std::ops::Range<usize> {
    padding.saturating_sub(start)..window.min(size + padding - start)
}

impl Kernel for MaxPoolBackward {
    fn grid(&self, _: Arch) -> Grid {
        rows_grid(self.images * self.height, self.width, self.channels)
    }
    fn bytes(&self, real: Real) -> u64 {
        let inputs = self.height as u64 * self.width as u64;
        let outputs = self.out_height as u64 * self.out_width as u64;
        let planes = self.images as u64 * self.channels as u64;
        planes * (real.bytes() * inputs + (real.bytes() + 1) * outputs)
    }
    fn on_cpu(&self, memory: &Host) {
        let [height, width, channels] =
            [self.height, self.width, self.channels].map(|n| n as usize);
        let [out_height, out_width] = [self.out_height, self.out_width].map(|n| n as usize);
        let [window, stride, padding] =
            [self.window, self.stride, self.padding].map(|n| n as usize);
        let outputs = self.images as usize * out_height * out_width * channels;
        let index = memory.read::<u8>(self.index, outputs);
        let dy = memory.read::<f32>(self.dy, outputs);
        let rows = self.images as usize * height;
        let dx = memory.write::<f32>(self.dx, rows * width * channels);
        let rows = dx.par_chunks_mut(width * channels).enumerate();
        rows.for_each(|(row, dx)| {
            let (image, at_y) = (row / height, row % height + padding);
            for (x, dx) in dx.chunks_exact_mut(channels).enumerate() {
                let at_x = x + padding;
                dx.fill(0.0);
                for out_y in covering(at_y, window, stride, out_height) {
                    for out_x in covering(at_x, window, stride, out_width) {
                        let place = (at_y - out_y * stride) * window + at_x - out_x * stride;
                        let pixel = (image * out_height + out_y) * out_width + out_x;
                        let index = &index[pixel * channels..][..channels];
                        let dy = &dy[pixel * channels..][..channels];
                        for ((dx, index), dy) in dx.iter_mut().zip(index).zip(dy) {
                            *dx += if *index as usize == place { *dy } else { 0.0 };
                        }
                    }
                }
            }
        });
    }
}

/// The windows that cover place `at`, counted from the padding's edge.
fn covering(at: usize, window: usize, stride: usize, windows: usize) -> std::ops::Range<usize> {
    let first = if at < window {
        0
    } else {
        (at - window) / stride + 1
    };
    first..windows.min(at / stride + 1)
}
