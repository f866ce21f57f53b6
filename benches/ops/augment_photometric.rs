use criterion::Criterion;
use selfsame::{
    Device, Tensor, device::kernels::AugmentPhotometric, ops::augment::table, tensor::Element,
};

/// A batch of ImageNet's views, each changed: sharpened from nine neighbours, twice.
pub fn bench(c: &mut Criterion, device: &Device) {
    let (rows, side) = (super::batch(device), 224);
    let mut row = table::identity();
    (row[table::PHOTOMETRIC], row[table::SHARPNESS]) = (1.0, 1.5);
    let table = Tensor::from_f32(device, [rows, table::COLS], &row.repeat(rows)).unwrap();
    let [x, y] =
        [(); 2].map(|()| super::operand(device, Element::F32, [rows, side, side, 3]).unwrap());
    let kernel = AugmentPhotometric {
        x: x.ptr(),
        table: table.ptr(),
        y: y.ptr(),
        rows: rows as u32,
        height: side as u32,
        width: side as u32,
    };
    super::bench(c, device, "imagenet", kernel);
}
