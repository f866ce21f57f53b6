use criterion::Criterion;
use selfsame::{
    Device, Tensor,
    device::kernels::{InfoNceBackward, InfoNceForward},
    ops::{self, info_nce},
    tensor::Element,
};

/// MoCo: 256 queries, their keys, and a queue of 65,536; of CIFAR-10, 512 and 4,096.
pub fn bench(c: &mut Criterion, device: &Device) {
    let d = 128;
    for (rows, count) in [(512, 4096), (256, 65_536)] {
        let negatives = ops::ring_first(device, count, d, 0).unwrap();
        let new = || super::operand(device, Element::Real, [rows, d]).unwrap();
        let (q, k) = (new(), new());
        let name = format!("{rows} x {count} x {d}, forward and backward");
        super::bench_op(c, device, ["info_nce", &name], "all its kernels", || {
            let kept = info_nce::forward(&q, &k, &negatives, 0.2)?;
            kept.backward_q(&kept.loss).map(drop)
        });
        alone(c, device, &q, &negatives);
    }
}

/// The two kernels that meet the negatives.
fn alone(c: &mut Criterion, device: &Device, q: &Tensor, negatives: &Tensor) {
    let ([rows, d], [count, _]) = (q.dims_of(), negatives.dims_of());
    let kept = info_nce::forward(q, q, negatives, 0.2).unwrap();
    let name = format!("{rows} x {count}");
    let range = info_nce::range(rows as u32, count as u32, d as u32, 0.2, device.arch());
    let splits = count.div_ceil(range as usize);
    let f32s = |n: usize| Tensor::uninit(device, Element::F32, [n]).unwrap();
    let (parts, sums) = (f32s(splits * rows), f32s(splits * rows * d));
    let [rows, count, d, splits] = [rows, count, d, splits].map(|n| n as u32);
    let forward = InfoNceForward {
        q: q.ptr(),
        inv_norm: kept.q_inv_norm.ptr(),
        negatives: negatives.ptr(),
        lse: parts.ptr(),
        rows,
        count,
        d,
        splits,
        range,
        temperature: 0.2,
    };
    super::bench(c, device, &name, forward);
    let backward = InfoNceBackward {
        q: q.ptr(),
        inv_norm: kept.q_inv_norm.ptr(),
        negatives: negatives.ptr(),
        lse: kept.lse.ptr(),
        sums: sums.ptr(),
        rows,
        count,
        d,
        splits,
        range,
        temperature: 0.2,
    };
    super::bench(c, device, &name, backward);
}
