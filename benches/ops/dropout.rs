use criterion::Criterion;
use selfsame::{Device, Tensor, device::kernels::Dropout, tensor::Element};

/// The hidden layer of Doersch's head: eight pairs an image.
pub fn bench(c: &mut Criterion, device: &Device) {
    let n = 8 * super::batch(device) * 4096;
    let x = super::operand(device, Element::Real, [n]).unwrap();
    let y = super::operand(device, Element::Real, [n]).unwrap();
    let step = Tensor::from_u32(device, [1], &[7]).unwrap();
    let kernel = Dropout {
        x: x.ptr(),
        step: step.ptr(),
        y: y.ptr(),
        n: n as u64,
        seed: 1,
        layer: 0,
        probability: 0.5,
    };
    super::bench(c, device, "doersch", kernel);
}
