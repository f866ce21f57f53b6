use criterion::Criterion;
use selfsame::{Device, device::kernels::WeightedSumForward, tensor::Element};

/// Three numbers: what a launch takes.
pub fn bench(c: &mut Criterion, device: &Device) {
    let scalar = || super::operand(device, Element::F32, [1]).unwrap();
    let (x, y, z) = (scalar(), scalar(), scalar());
    let kernel = WeightedSumForward {
        x: x.ptr(),
        y: y.ptr(),
        z: z.ptr(),
        a: 0.5,
        b: 0.5,
    };
    super::bench(c, device, "pirl", kernel);
}
