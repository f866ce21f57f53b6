use criterion::Criterion;
use selfsame::{Device, Tensor, device::kernels::DrawNegatives, tensor::Element};

/// PIRL's 32,000 of ImageNet's images for each row of a batch.
pub fn bench(c: &mut Criterion, device: &Device) {
    let (rows, count) = (super::batch(device), 32_000);
    let step = Tensor::from_u32(device, [1], &[7]).unwrap();
    let negatives = Tensor::uninit(device, Element::U32, [rows, count]).unwrap();
    let kernel = DrawNegatives {
        step: step.ptr(),
        negatives: negatives.ptr(),
        seed: 1,
        rows: rows as u32,
        count: count as u32,
        images: 1_281_167,
    };
    super::bench(c, device, "pirl", kernel);
}
