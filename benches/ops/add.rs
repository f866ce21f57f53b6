use criterion::Criterion;
use selfsame::{Device, device::kernels::Add, tensor::Element};

/// The sum of a residual block in stage 1 of ResNet-50: batch x 56 x 56 x 256.
pub fn bench(c: &mut Criterion, device: &Device) {
    let shape = [super::batch(device), 56, 56, 256];
    let [a, b, y] = [(); 3].map(|()| super::operand(device, Element::Real, shape).unwrap());
    let (pa, pb, py, n) = (a.ptr(), b.ptr(), y.ptr(), a.len() as u64);
    let add = Add {
        a: pa,
        b: pb,
        y: py,
        n,
    };
    super::bench(c, device, "stage1", add);
}
