use criterion::Criterion;
use selfsame::{
    Device,
    device::kernels::{GlobalAveragePoolBackward, GlobalAveragePoolForward},
    tensor::Element,
};

/// The end of ResNet-50: batch x 7 x 7 x 2048.
pub fn bench(c: &mut Criterion, device: &Device) {
    let images = super::batch(device);
    let x = super::operand(device, Element::Real, [images, 7, 7, 2048]).unwrap();
    let y = super::operand(device, Element::Real, [images, 2048]).unwrap();
    let (images, pixels, channels) = (images as u32, 49, 2048);
    let forward = GlobalAveragePoolForward {
        x: x.ptr(),
        y: y.ptr(),
        images,
        pixels,
        channels,
    };
    super::bench(c, device, "end", forward);
    let backward = GlobalAveragePoolBackward {
        dy: y.ptr(),
        dx: x.ptr(),
        images,
        pixels,
        channels,
    };
    super::bench(c, device, "end", backward);
}
