use criterion::Criterion;
use selfsame::{Device, device::kernels::L2NormalizeForward, tensor::Element};

/// A batch of projections: 16 views of 128 numbers each for each image of the batch.
pub fn bench(c: &mut Criterion, device: &Device) {
    let (rows, cols) = (16 * super::batch(device), 128);
    let x = super::operand(device, Element::Real, [rows, cols]).unwrap();
    let y = super::operand(device, Element::Real, [rows, cols]).unwrap();
    let inv_norm = super::operand(device, Element::F32, [rows]).unwrap();
    let kernel = L2NormalizeForward {
        x: x.ptr(),
        y: y.ptr(),
        inv_norm: inv_norm.ptr(),
        rows: rows as u32,
        cols: cols as u32,
    };
    super::bench(c, device, "projections", kernel);
}
