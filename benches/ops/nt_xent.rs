use criterion::Criterion;
use selfsame::{
    Device,
    device::kernels::{NtXentBackward, NtXentForward},
    ops::nt_xent,
    tensor::Element,
};

/// SimCLR on CIFAR: 256 images, 512 views, 128 numbers each; on a GPU a batch of 4096.
pub fn bench(c: &mut Criterion, device: &Device) {
    let (rows, d) = (if super::batch(device) > 4 { 8192 } else { 512 }, 128);
    let z = super::operand(device, Element::Real, [rows, d]).unwrap();
    let kept = nt_xent::forward(&z, 0.5).unwrap();
    let positive = super::operand(device, Element::F32, [rows]).unwrap();
    let dz = super::operand(device, Element::Real, [rows, d]).unwrap();
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
    for rows in [rows / 2, rows] {
        let z = z.rows(0, rows);
        let name = format!("{rows} x {d}, forward and backward");
        super::bench_op(c, device, ["nt_xent", &name], "all its kernels", || {
            let kept = nt_xent::forward(&z, 0.5)?;
            nt_xent::backward(&z, &kept, &kept.loss, 0.5).map(drop)
        });
    }
}
