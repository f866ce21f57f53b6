use criterion::Criterion;
use selfsame::{
    Device,
    device::kernels::{MaxPoolBackward, MaxPoolForward},
    tensor::Element,
};

/// The stem of ResNet-50: batch x 112 x 112 x 64 to 56 x 56.
pub fn bench(c: &mut Criterion, device: &Device) {
    let images = super::batch(device);
    let (large, small) = ([images, 112, 112, 64], [images, 56, 56, 64]);
    let x = super::operand(device, Element::Real, large).unwrap();
    let y = super::operand(device, Element::Real, small).unwrap();
    let index = super::operand(device, Element::U8, small).unwrap();
    let forward = MaxPoolForward {
        x: x.ptr(),
        y: y.ptr(),
        index: index.ptr(),
        images: images as u32,
        height: 112,
        width: 112,
        channels: 64,
        out_height: 56,
        out_width: 56,
        window: 3,
        stride: 2,
        padding: 1,
    };
    super::bench(c, device, "stem", forward);
    let backward = MaxPoolBackward {
        index: index.ptr(),
        dy: y.ptr(),
        dx: x.ptr(),
        images: images as u32,
        height: 112,
        width: 112,
        channels: 64,
        out_height: 56,
        out_width: 56,
        window: 3,
        stride: 2,
        padding: 1,
    };
    super::bench(c, device, "stem", backward);
}
