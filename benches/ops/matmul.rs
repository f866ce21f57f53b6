use criterion::Criterion;
use selfsame::{
    Device,
    device::{Ptr, kernels::Matmul},
    tensor::Element,
};

/// The projection head's first layer, 2048 to 2048, over two views of a batch.
pub fn bench(c: &mut Criterion, device: &Device) {
    let (m, k, n) = (2 * super::batch(device), 2048, 2048);
    let [a, b, y] =
        [[m, k], [n, k], [m, n]].map(|s| super::operand(device, Element::Real, s).unwrap());
    let [m, n, k] = [m, n, k].map(|d| d as u32);
    let kernel = Matmul {
        a: a.ptr(),
        b: b.ptr(),
        bias: Ptr::NULL,
        c: y.ptr(),
        m,
        n,
        k,
        a_row: k,
        a_col: 1,
        b_row: 1,
        b_col: k,
    };
    super::bench(c, device, "projector", kernel);
}
