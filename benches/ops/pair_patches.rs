use criterion::Criterion;
use selfsame::{
    Device,
    device::kernels::{PairPatchesBackward, PairPatchesForward},
    tensor::Element,
};

/// ResNet-50's features of nine patches of each image.
pub fn bench(c: &mut Criterion, device: &Device) {
    let (images, features) = (super::batch(device), 2048);
    let x = super::operand(device, Element::Real, [9 * images, features]).unwrap();
    let y = super::operand(device, Element::Real, [8 * images, 2 * features]).unwrap();
    let forward = PairPatchesForward {
        x: x.ptr(),
        y: y.ptr(),
        images: images as u32,
        c: features as u32,
    };
    super::bench(c, device, "resnet50", forward);
    let backward = PairPatchesBackward {
        dy: y.ptr(),
        dx: x.ptr(),
        images: images as u32,
        c: features as u32,
    };
    super::bench(c, device, "resnet50", backward);
}
