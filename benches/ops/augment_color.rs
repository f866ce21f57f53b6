use criterion::Criterion;
use selfsame::{
    Device, Tensor,
    device::kernels::AugmentColor,
    ops::{
        augment::{Normalisation, Recipe},
        augment_draw,
    },
    tensor::Element,
};

/// The views of 256 images of CIFAR-10, under SimCLR's recipe for it, and 256 of ImageNet on a GPU.
pub fn bench(c: &mut Criterion, device: &Device) {
    for (name, rows, side) in [("cifar", 256, 32), ("imagenet", super::batch(device), 224)] {
        let recipe = Recipe::simclr_cifar();
        let n = Normalisation::new(recipe.mean, recipe.std);
        let ids: Vec<u32> = (0..rows as u32).collect();
        let pixels: Vec<u8> = (0..rows * side * side * 3)
            .map(|i| (i * 37 % 251) as u8)
            .collect();
        let x = Tensor::from_u8(device, [rows, side, side, 3], &pixels).unwrap();
        let ids = Tensor::from_u32(device, [rows], &ids).unwrap();
        let epoch = Tensor::from_u32(device, [1], &[2]).unwrap();
        let table = augment_draw::draw(&ids, &recipe, 1, &epoch, 0).unwrap();
        let y = super::operand(device, Element::Real, [rows, side, side, 3]).unwrap();
        let kernel = AugmentColor {
            x: x.ptr(),
            table: table.ptr(),
            y: y.ptr(),
            rows: rows as u32,
            pixels: (side * side) as u32,
            scale_r: n.scale[0],
            scale_g: n.scale[1],
            scale_b: n.scale[2],
            shift_r: n.shift[0],
            shift_g: n.shift[1],
            shift_b: n.shift[2],
        };
        super::bench(c, device, name, kernel);
    }
}
