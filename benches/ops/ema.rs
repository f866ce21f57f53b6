use criterion::Criterion;
use selfsame::{Device, device::kernels::Ema, tensor::Element};

/// ResNet-50's weights.
pub fn bench(c: &mut Criterion, device: &Device) {
    let n = 23_508_032;
    let new = || super::operand(device, Element::F32, [n]).unwrap();
    let (target, source) = (new(), new());
    let ema = Ema {
        target: target.ptr(),
        source: source.ptr(),
        n: n as u64,
        momentum: 0.5,
    };
    super::bench(c, device, "resnet50", ema);
}
