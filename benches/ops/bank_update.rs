use criterion::Criterion;
use selfsame::{Device, Tensor, device::kernels::BankUpdate, tensor::Element};

/// A batch's rows in a bank of CIFAR-10's images.
pub fn bench(c: &mut Criterion, device: &Device) {
    let (rows, images, d) = (super::batch(device), 50_000, 128);
    let v = super::operand(device, Element::Real, [rows, d]).unwrap();
    let bank = super::operand(device, Element::F32, [images, d]).unwrap();
    let ids: Vec<u32> = (0..rows as u32).map(|row| 17 * row).collect();
    let ids = Tensor::from_u32(device, [rows], &ids).unwrap();
    let kernel = BankUpdate {
        v: v.ptr(),
        ids: ids.ptr(),
        bank: bank.ptr(),
        rows: rows as u32,
        images: images as u32,
        d: d as u32,
        momentum: 0.5,
    };
    super::bench(c, device, "cifar", kernel);
}
