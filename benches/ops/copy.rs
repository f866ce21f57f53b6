use criterion::Criterion;
use selfsame::{Device, device::kernels::CopyToReal, tensor::Element};

/// ResNet-50's parameters, rounded to the device's real numbers after each step.
pub fn bench(c: &mut Criterion, device: &Device) {
    let n = 23_508_032;
    let x = super::operand(device, Element::F32, [n]).unwrap();
    let y = super::operand(device, Element::Real, [n]).unwrap();
    let round = CopyToReal {
        x: x.ptr(),
        y: y.ptr(),
        n: n as u64,
    };
    super::bench(c, device, "resnet50", round);
}
