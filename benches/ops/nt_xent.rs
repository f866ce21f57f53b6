use criterion::Criterion;
use selfsame::{
    Device, Tensor,
    device::kernels::{NtXentBackward, NtXentForward},
    tensor::Element,
};

/// SimCLR on CIFAR: 256 images, 512 views, 128 numbers each; on a GPU a batch of 4096.
pub fn bench(c: &mut Criterion, device: &Device) {
    let (rows, d) = (if super::batch(device) > 4 { 8192 } else { 512 }, 128);
    let values = (0..rows * d).map(|i| (i as f32).sin()).collect::<Vec<_>>();
    let z = Tensor::from_slice(device, [rows, d], &values).unwrap();
    let kept = selfsame::ops::nt_xent::forward(&z, 0.5).unwrap();
    let positive = Tensor::uninit(device, Element::F32, [rows]).unwrap();
    let dz = Tensor::uninit(device, Element::Real, [rows, d]).unwrap();
    let forward = NtXentForward {
        z: z.ptr(),
        inv_norm: kept.inv_norm.ptr(),
        lse: kept.lse.ptr(),
        positive: positive.ptr(),
        rows: rows as u32,
        d: d as u32,
        temperature: 0.5,
    };
    super::bench(c, device, &rows.to_string(), forward);
    let backward = NtXentBackward {
        z: z.ptr(),
        inv_norm: kept.inv_norm.ptr(),
        lse: kept.lse.ptr(),
        dy: kept.loss.ptr(),
        dz: dz.ptr(),
        rows: rows as u32,
        d: d as u32,
        temperature: 0.5,
    };
    super::bench(c, device, &rows.to_string(), backward);
}
