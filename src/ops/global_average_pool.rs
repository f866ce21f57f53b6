//! `global_average_pool`: y = the mean of x over an image's pixels, channel by channel.
use crate::{
    Result, Tape, Tensor, Var,
    device::{
        Arch, Grid, Host, Kernel, Real,
        kernels::{GlobalAveragePoolBackward, GlobalAveragePoolForward},
    },
    tensor::Element,
};
use rayon::prelude::*;

/// x (n, h, w, c) to (n, c).
pub fn global_average_pool(tape: &mut Tape, x: &Var) -> Result<Var> {
    let dims = x.value.dims_of::<4>();
    let y = forward(&x.value)?;
    Ok(tape.record("global_average_pool", [x], y, move |dy, _| {
        Ok([Some(backward(&dy, dims)?)])
    }))
}

pub fn forward(x: &Tensor) -> Result<Tensor> {
    let [images, height, width, channels] = x.dims_of();
    assert!(height * width > 0, "global_average_pool: no pixels");
    let y = Tensor::uninit(x.device(), Element::Real, [images, channels])?;
    x.device().launch(GlobalAveragePoolForward {
        x: x.ptr(),
        y: y.ptr(),
        images: images as u32,
        pixels: (height * width) as u32,
        channels: channels as u32,
    })?;
    Ok(y)
}

/// dx, of shape (n, h, w, c).
pub fn backward(dy: &Tensor, x_dims: [usize; 4]) -> Result<Tensor> {
    let [images, height, width, channels] = x_dims;
    assert_eq!(dy.dims(), [images, channels], "global_average_pool: dy");
    let dx = Tensor::uninit(dy.device(), Element::Real, x_dims)?;
    dy.device().launch(GlobalAveragePoolBackward {
        dy: dy.ptr(),
        dx: dx.ptr(),
        images: images as u32,
        pixels: (height * width) as u32,
        channels: channels as u32,
    })?;
    Ok(dx)
}

impl Kernel for GlobalAveragePoolForward {
    fn grid(&self, _: Arch) -> Grid {
        Grid::elements(self.images as u64 * self.channels.div_ceil(8) as u64)
    }
    fn bytes(&self, real: Real) -> u64 {
        let outputs = self.images as u64 * self.channels as u64;
        real.bytes() * outputs * (self.pixels as u64 + 1)
    }
    fn on_cpu(&self, memory: &Host) {
        let [images, pixels, channels] =
            [self.images, self.pixels, self.channels].map(|n| n as usize);
        let x = memory.read::<f32>(self.x, images * pixels * channels);
        let y = memory.write::<f32>(self.y, images * channels);
        let images = y
            .par_chunks_mut(channels)
            .zip(x.par_chunks(pixels * channels));
        images.for_each(|(y, x)| {
            y.fill(0.0);
            for pixel in x.chunks_exact(channels) {
                y.iter_mut().zip(pixel).for_each(|(y, x)| *y += x);
            }
            y.iter_mut().for_each(|y| *y /= pixels as f32);
        });
    }
}

impl Kernel for GlobalAveragePoolBackward {
    fn grid(&self, _: Arch) -> Grid {
        Grid::elements(self.images as u64 * self.channels.div_ceil(8) as u64)
    }
    fn bytes(&self, real: Real) -> u64 {
        let inputs = self.images as u64 * self.channels as u64;
        real.bytes() * inputs * (self.pixels as u64 + 1)
    }
    fn on_cpu(&self, memory: &Host) {
        let [images, pixels, channels] =
            [self.images, self.pixels, self.channels].map(|n| n as usize);
        let dy = memory.read::<f32>(self.dy, images * channels);
        let dx = memory.write::<f32>(self.dx, images * pixels * channels);
        let images = dx
            .par_chunks_mut(pixels * channels)
            .zip(dy.par_chunks(channels));
        images.for_each(|(dx, dy)| {
            for pixel in dx.chunks_exact_mut(channels) {
                for (dx, dy) in pixel.iter_mut().zip(dy) {
                    *dx = dy / pixels as f32;
                }
            }
        });
    }
}
