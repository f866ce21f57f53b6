use criterion::Criterion;
use selfsame::{Device, Tensor, device::kernels::AugmentCrop, tensor::Element};

/// 256 views of CIFAR-10, of boxes of half the area.
pub fn bench(c: &mut Criterion, device: &Device) {
    let (count, rows, side) = (1024, 256, 32);
    let pixels: Vec<u8> = (0..count * side * side * 3)
        .map(|i| (i * 37 % 251) as u8)
        .collect();
    let images = Tensor::from_u8(device, [count, side, side, 3], &pixels).unwrap();
    let indices: Vec<u32> = (0..rows as u32).map(|i| i * 3).collect();
    let indices = Tensor::from_u32(device, [rows], &indices).unwrap();
    let boxes = [4.0, 5.0, 21.0, 24.0, 0.0, 1.0].repeat(rows);
    let boxes = Tensor::from_f32(device, [rows, 6], &boxes).unwrap();
    let y = super::operand(device, Element::U8, [rows, side, side, 3]).unwrap();
    let kernel = AugmentCrop {
        images: images.ptr(),
        indices: indices.ptr(),
        boxes: boxes.ptr(),
        y: y.ptr(),
        count: count as u32,
        height: side as u32,
        width: side as u32,
        rows: rows as u32,
        size: side as u32,
    };
    super::bench(c, device, "cifar", kernel);
}
