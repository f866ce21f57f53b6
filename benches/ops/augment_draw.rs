use criterion::Criterion;
use selfsame::{
    Device, Tensor,
    ops::{augment::Recipe, augment_draw},
};

/// One view of each of 256 images; of so little, what is measured is the launch.
pub fn bench(c: &mut Criterion, device: &Device) {
    let ids = Tensor::from_u32(device, [256], &[7; 256]).unwrap();
    let epoch = Tensor::from_u32(device, [1], &[2]).unwrap();
    let draw = || augment_draw::draw(&ids, &Recipe::simclr_cifar(), 1, &epoch, 0);
    super::bench_op(c, device, ["augment_draw", "256"], "augment_draw", || {
        draw().map(drop)
    });
}
