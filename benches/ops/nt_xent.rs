use criterion::Criterion;
use selfsame::{
    Device, Tensor,
    device::kernels::{NtXentBackward, NtXentForward, NtXentGradient, NtXentLoss},
    ops::nt_xent,
    tensor::Element,
};

/// SimCLR on CIFAR: 256 images, 512 views, 128 numbers each; on a GPU a batch of 4096.
pub fn bench(c: &mut Criterion, device: &Device) {
    let (rows, d) = (if super::batch(device) > 4 { 8192 } else { 512 }, 128);
    let z = super::operand(device, Element::Real, [rows, d]).unwrap();
    let kept = nt_xent::forward(&z, 0.5).unwrap();
    let (range, splits) = (kept.range, (rows as u32).div_ceil(kept.range));
    let f32s = |n: usize| Tensor::uninit(device, Element::F32, [n]).unwrap();
    let (positive, lse) = (f32s(rows), f32s(splits as usize * rows));
    let sums = f32s(splits as usize * rows * d);
    let dz = Tensor::uninit(device, Element::Real, [rows, d]).unwrap();
    let name = rows.to_string();
    for rows in [rows / 2, rows] {
        let z = z.rows(0, rows);
        let name = format!("{rows} x {d}, forward and backward");
        super::bench_op(c, device, ["nt_xent", &name], "all its kernels", || {
            let kept = nt_xent::forward(&z, 0.5)?;
            nt_xent::backward(&z, &kept, &kept.loss, 0.5).map(drop)
        });
    }
    let (rows, d) = (rows as u32, d as u32);
    let forward = NtXentForward {
        z: z.ptr(),
        inv_norm: kept.inv_norm.ptr(),
        lse: lse.ptr(),
        positive: positive.ptr(),
        rows,
        d,
        splits,
        range,
        temperature: 0.5,
    };
    super::bench(c, device, &name, forward);
    let loss = NtXentLoss {
        parts: lse.ptr(),
        positive: positive.ptr(),
        inv_norm: kept.inv_norm.ptr(),
        lse: kept.lse.ptr(),
        weight: kept.weight.ptr(),
        loss: kept.loss.ptr(),
        rows,
        splits,
        temperature: 0.5,
    };
    super::bench(c, device, &name, loss);
    let backward = NtXentBackward {
        z: z.ptr(),
        inv_norm: kept.inv_norm.ptr(),
        lse: kept.lse.ptr(),
        weight: kept.weight.ptr(),
        sums: sums.ptr(),
        rows,
        d,
        splits,
        range,
        temperature: 0.5,
    };
    super::bench(c, device, &name, backward);
    let gradient = NtXentGradient {
        z: z.ptr(),
        inv_norm: kept.inv_norm.ptr(),
        sums: sums.ptr(),
        dy: kept.loss.ptr(),
        dz: dz.ptr(),
        rows,
        d,
        splits,
        temperature: 0.5,
    };
    super::bench(c, device, &name, gradient);
}
