use criterion::Criterion;
use selfsame::{
    Device,
    device::{Ptr, Real, kernels::Ema},
    tensor::Element,
};

/// ResNet-50's weights.
pub fn bench(c: &mut Criterion, device: &Device) {
    let n = 23_508_032;
    let new = || super::operand(device, Element::F32, [n]).unwrap();
    let (target, source) = (new(), new());
    let reals = super::operand(device, Element::Real, [n]).unwrap();
    let ema = Ema {
        target: target.ptr(),
        reals: match device.real() {
            Real::F32 => Ptr::NULL,
            Real::Bf16 => reals.ptr(),
        },
        source: source.ptr(),
        n: n as u64,
        momentum: 0.5,
    };
    super::bench(c, device, "resnet50", ema);
}
