use criterion::Criterion;
use selfsame::{Device, device::kernels::ReluForward, tensor::Element};

/// Stage 1 of ResNet-50: batch x 56 x 56 x 256.
pub fn bench(c: &mut Criterion, device: &Device) {
    let shape = [super::batch(device), 56, 56, 256];
    let x = super::operand(device, Element::Real, shape).unwrap();
    let y = super::operand(device, Element::Real, shape).unwrap();
    super::bench(
        c,
        device,
        "stage1",
        ReluForward {
            x: x.ptr(),
            y: y.ptr(),
            n: x.len() as u64,
        },
    );
}
