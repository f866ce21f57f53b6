use criterion::Criterion;
use selfsame::{Device, ops::concat_rows, tensor::Element};

/// ResNet-50's features of two resolutions: two large crops and six small ones.
pub fn bench(c: &mut Criterion, device: &Device) {
    let images = super::batch(device);
    let [large, small] =
        [2, 6].map(|n| super::operand(device, Element::Real, [n * images, 2048]).unwrap());
    super::bench_op(c, device, ["concat_rows", "resnet50"], "copies", || {
        concat_rows::forward([&large, &small]).map(drop)
    });
}
