use criterion::Criterion;
use selfsame::{Device, Tensor, device::kernels::RingPush, tensor::Element};

/// A batch of MoCo's keys into its queue of 65,536.
pub fn bench(c: &mut Criterion, device: &Device) {
    let (count, n, d) = (65_536, 256, 128);
    let ring = super::operand(device, Element::Real, [count, d]).unwrap();
    let rows = super::operand(device, Element::Real, [n, d]).unwrap();
    let pointer = Tensor::from_u32(device, [1], &[count as u32 - 100]).unwrap();
    let push = RingPush {
        rows: rows.ptr(),
        pointer: pointer.ptr(),
        ring: ring.ptr(),
        count: count as u32,
        n: n as u32,
        d: d as u32,
    };
    super::bench(c, device, "moco", push);
}
