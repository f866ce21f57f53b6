use criterion::Criterion;
use selfsame::{
    Device, Tensor,
    device::kernels::{SwappedPredictionBackward, SwappedPredictionForward},
    tensor::Element,
};

/// SwAV: eight crops of each image of the batch, 3000 prototypes.
pub fn bench(c: &mut Criterion, device: &Device) {
    let (crops, batch, prototypes) = (8, super::batch(device), 3000);
    let rows = crops * batch;
    let scores = super::operand(device, Element::Real, [rows, prototypes]).unwrap();
    let codes = super::operand(device, Element::F32, [2 * batch, prototypes]).unwrap();
    let dscores = Tensor::uninit(device, Element::Real, [rows, prototypes]).unwrap();
    let f32s = |n: usize| super::operand(device, Element::F32, [n]).unwrap();
    let (lse, weight, losses, dy) = (f32s(rows), f32s(rows), f32s(rows), f32s(1));
    let name = format!("{crops} x {batch} x {prototypes}");
    let forward = SwappedPredictionForward {
        scores: scores.ptr(),
        codes: codes.ptr(),
        lse: lse.ptr(),
        weight: weight.ptr(),
        losses: losses.ptr(),
        crops: crops as u32,
        batch: batch as u32,
        prototypes: prototypes as u32,
        inv_temperature: 10.0,
    };
    super::bench(c, device, &name, forward);
    let backward = SwappedPredictionBackward {
        scores: scores.ptr(),
        codes: codes.ptr(),
        lse: lse.ptr(),
        weight: weight.ptr(),
        dy: dy.ptr(),
        dscores: dscores.ptr(),
        crops: crops as u32,
        batch: batch as u32,
        prototypes: prototypes as u32,
        inv_temperature: 10.0,
        scale: 1.0 / (2 * (crops - 1) * batch) as f32,
    };
    super::bench(c, device, &name, backward);
}
