use criterion::Criterion;
use selfsame::{
    Device, Tensor, device::kernels::AugmentBlurLines, ops::augment::table, tensor::Element,
};

/// One direction of the blur of a batch of ImageNet's views, each blurred: 23 taps at 224.
pub fn bench(c: &mut Criterion, device: &Device) {
    let (rows, side) = (super::batch(device), 224);
    let mut row = table::identity();
    row[table::SIGMA] = 1.0;
    let table = Tensor::from_f32(device, [rows, table::COLS], &row.repeat(rows)).unwrap();
    let [x, y] =
        [(); 2].map(|()| super::operand(device, Element::F32, [rows, side, side, 3]).unwrap());
    let kernel = AugmentBlurLines {
        x: x.ptr(),
        table: table.ptr(),
        y: y.ptr(),
        rows: rows as u32,
        height: side as u32,
        width: side as u32,
        radius: 11,
    };
    super::bench(c, device, "imagenet", kernel);
}
