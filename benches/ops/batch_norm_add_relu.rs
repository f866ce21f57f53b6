use super::batch_norm::Operands;
use criterion::Criterion;
use selfsame::{
    Device, Tensor,
    device::kernels::{BatchNormAddReluForward, BatchNormAddReluSums},
    tensor::Element,
};

pub fn bench(c: &mut Criterion, device: &Device) {
    let o = Operands::new(device);
    let [x, residual, y, dresidual] = o.real.each_ref().map(Tensor::ptr);
    let (rows, channels) = (o.rows, o.channels);
    let [statistics, gamma, beta] = [o.channel.ptr(); 3];
    let packs = [rows as usize, channels as usize / 8];
    let mask_bytes = super::operand(device, Element::U8, packs).unwrap();
    let mask = mask_bytes.ptr();
    let forward = BatchNormAddReluForward {
        x,
        residual,
        statistics,
        gamma,
        beta,
        y,
        mask,
        rows,
        channels,
    };
    super::bench(c, device, "stage1", forward);
    let sums = BatchNormAddReluSums {
        x,
        mask,
        dy: residual,
        statistics,
        dresidual,
        partial: o.partial.ptr(),
        rows,
        channels,
        chunk_rows: o.chunk_rows,
    };
    super::bench(c, device, "stage1", sums);
}
