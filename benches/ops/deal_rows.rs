use criterion::Criterion;
use selfsame::{Device, device::kernels::DealRows, tensor::Element};

/// A batch of CIFAR-10's views, to eight groups of batch norm.
pub fn bench(c: &mut Criterion, device: &Device) {
    let (rows, width) = (super::batch(device), 32 * 32 * 3);
    let [x, y] = [(); 2].map(|()| super::operand(device, Element::Real, [rows, width]).unwrap());
    let kernel = DealRows {
        x: x.ptr(),
        y: y.ptr(),
        rows: rows as u32,
        hands: 8,
        width: width as u64,
    };
    super::bench(c, device, "cifar", kernel);
}
