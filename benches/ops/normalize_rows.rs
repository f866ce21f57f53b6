use criterion::Criterion;
use selfsame::{
    Device,
    device::{Ptr, kernels::NormalizeRows},
    tensor::Element,
};

/// SwAV's prototypes: 3000 of 128 numbers.
pub fn bench(c: &mut Criterion, device: &Device) {
    let (rows, cols) = (3000, 128);
    let values = super::operand(device, Element::F32, [rows, cols]).unwrap();
    let reals = super::operand(device, Element::Real, [rows, cols]).unwrap();
    let kernel = NormalizeRows {
        values: values.ptr(),
        reals: if device.arch().compute > 0 {
            reals.ptr()
        } else {
            Ptr::NULL
        },
        rows: rows as u32,
        cols: cols as u32,
    };
    super::bench(c, device, "prototypes", kernel);
}
