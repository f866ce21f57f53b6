use criterion::Criterion;
use selfsame::{Device, device::kernels::CosineDistanceForward, tensor::Element};

/// Two views of a batch of projections, of 128 numbers.
pub fn bench(c: &mut Criterion, device: &Device) {
    let (rows, cols) = (16 * super::batch(device), 128);
    let [a, b] = [(); 2].map(|()| super::operand(device, Element::Real, [rows, cols]).unwrap());
    let terms = super::operand(device, Element::F32, [rows, 3]).unwrap();
    let losses = super::operand(device, Element::F32, [rows]).unwrap();
    let kernel = CosineDistanceForward {
        a: a.ptr(),
        b: b.ptr(),
        terms: terms.ptr(),
        losses: losses.ptr(),
        rows: rows as u32,
        cols: cols as u32,
    };
    super::bench(c, device, "projections", kernel);
}
