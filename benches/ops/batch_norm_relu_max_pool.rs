use criterion::Criterion;
use selfsame::{
    Device, Tensor,
    device::kernels::{
        BatchNormReluMaxPoolBackward, BatchNormReluMaxPoolForward, BatchNormReluMaxPoolSums,
    },
    tensor::Element,
};

/// The end of ResNet-50's stem: batch x 112 x 112 x 64 to half of that.
pub fn bench(c: &mut Criterion, device: &Device) {
    let images = super::batch(device);
    let full = || super::operand(device, Element::Real, [images, 112, 112, 64]).unwrap();
    let half = |element| super::operand(device, element, [images, 56, 56, 64]).unwrap();
    let (x, dx, y, winner) = (full(), full(), half(Element::Real), half(Element::Real));
    let index = half(Element::U8);
    let channel = Tensor::from_f32(device, [2, 64], &[0.25; 128]).unwrap();
    let rows = (images * 56 * 56) as u32;
    let partial =
        super::operand(device, Element::F32, [rows.div_ceil(768) as usize, 2, 64]).unwrap();
    let [statistics, gamma, beta, dgamma, dbeta] = [channel.ptr(); 5];
    let (x, y, winner, index) = (x.ptr(), y.ptr(), winner.ptr(), index.ptr());
    let (images, height, width, channels) = (images as u32, 112, 112, 64);
    let forward = BatchNormReluMaxPoolForward {
        x,
        statistics,
        gamma,
        beta,
        y,
        winner,
        index,
        images,
        height,
        width,
        channels,
    };
    super::bench(c, device, "stem", forward);
    let sums = BatchNormReluMaxPoolSums {
        winner,
        index,
        dy: y,
        statistics,
        partial: partial.ptr(),
        rows,
        channels,
        chunk_rows: 768,
    };
    super::bench(c, device, "stem", sums);
    let backward = BatchNormReluMaxPoolBackward {
        x,
        index,
        dy: y,
        statistics,
        gamma,
        dgamma,
        dbeta,
        dx: dx.ptr(),
        images,
        height,
        width,
        channels,
        inverse_rows: 1.0 / rows as f32,
    };
    super::bench(c, device, "stem", backward);
}
