use criterion::Criterion;
use selfsame::{Device, Tensor, device::kernels::CrossEntropyForward, tensor::Element};

/// A linear classifier of ImageNet: 16 rows of 1000 classes for each image of the batch.
pub fn bench(c: &mut Criterion, device: &Device) {
    let (rows, classes) = (16 * super::batch(device), 1000);
    let logits = Tensor::from_slice(device, [rows, classes], &vec![0.5; rows * classes]).unwrap();
    let targets = Tensor::from_u32(device, [rows], &vec![7; rows]).unwrap();
    let [lse, losses] = [(); 2].map(|()| super::operand(device, Element::F32, [rows]).unwrap());
    let kernel = CrossEntropyForward {
        logits: logits.ptr(),
        targets: targets.ptr(),
        lse: lse.ptr(),
        losses: losses.ptr(),
        rows: rows as u32,
        classes: classes as u32,
    };
    super::bench(c, device, "imagenet", kernel);
}
