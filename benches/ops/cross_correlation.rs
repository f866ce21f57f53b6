use criterion::Criterion;
use selfsame::{
    Device, Tensor, device::kernels::CrossCorrelationForward, ops::cross_correlation,
    tensor::Element,
};

/// Barlow Twins: a batch of 2048, 8192 features; on a CPU the projector for CIFAR, of 2048.
pub fn bench(c: &mut Criterion, device: &Device) {
    let (n, d) = match super::batch(device) > 4 {
        true => (2048, 8192),
        false => (64, 2048),
    };
    let [a, b] = [(); 2].map(|()| super::operand(device, Element::Real, [n, d]).unwrap());
    let kept = cross_correlation::forward(&a, &b, 0.0051).unwrap();
    // As many as any kernel has tiles.
    let tiles = d.div_ceil(64).pow(2);
    let partial = Tensor::uninit(device, Element::F32, [tiles, 2]).unwrap();
    let forward = CrossCorrelationForward {
        a: a.ptr(),
        b: b.ptr(),
        dc: kept.dc.ptr(),
        partial: partial.ptr(),
        n: n as u32,
        d: d as u32,
        tiles: tiles as u32,
        off_diagonal: 0.0051,
    };
    let name = format!("{n} x {d}");
    super::bench(c, device, &name, forward);
    let name = format!("{name}, forward and backward");
    super::bench_op(
        c,
        device,
        ["cross_correlation", &name],
        "all its kernels",
        || {
            let kept = cross_correlation::forward(&a, &b, 0.0051)?;
            cross_correlation::backward_a(&b, &kept.dc, &kept.loss)?;
            cross_correlation::backward_b(&a, &kept.dc, &kept.loss).map(drop)
        },
    );
}
