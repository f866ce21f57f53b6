use criterion::Criterion;
use selfsame::{
    Device, Tensor,
    device::kernels::{OptimizeNorms, OptimizeStep},
    ops::copy,
    tensor::Element,
};

/// As many weights as ResNet-50 has, as one tensor in chunks of 16 K.
pub fn bench(c: &mut Criterion, device: &Device) {
    let (n, length) = (23_508_032u32, 1 << 14);
    let new = |value: f32| copy::full(device, [n as usize], value).unwrap();
    let (values, gradients, velocities) = (new(1.0), new(0.0), new(0.0));
    let reals = Tensor::uninit(device, Element::Real, [n as usize]).unwrap();
    let chunk = |start: u32| [start, length.min(n - start), 0];
    let chunks: Vec<u32> = (0..n).step_by(length as usize).flat_map(chunk).collect();
    let chunk_count = chunks.len() as u32 / 3;
    let chunks = Tensor::from_u32(device, [chunks.len()], &chunks).unwrap();
    let segments = Tensor::from_u32(device, [3], &[0, chunk_count, 3]).unwrap();
    let partial = copy::full(device, [chunk_count as usize, 4], 0.0).unwrap();
    let rates = Tensor::from_f32(device, [3], &[1.0, 0.0, 0.1]).unwrap();
    let norms = OptimizeNorms {
        values: values.ptr(),
        gradients: gradients.ptr(),
        chunks: chunks.ptr(),
        segments: segments.ptr(),
        partial: partial.ptr(),
        n: n as u64,
        chunk_count,
        segment_count: 1,
        weight_decay: 0.0,
    };
    super::bench(c, device, "resnet50", norms);
    let step = OptimizeStep {
        values: values.ptr(),
        reals: reals.ptr(),
        gradients: gradients.ptr(),
        velocities: velocities.ptr(),
        chunks: chunks.ptr(),
        rates: rates.ptr(),
        summary: partial.ptr(),
        n: n as u64,
        chunk_count,
        segment_count: 1,
        nesterov: 0,
        momentum: 0.9,
    };
    super::bench(c, device, "resnet50", step);
}
