use super::batch_norm::Operands;
use criterion::Criterion;
use selfsame::{
    Device, Tensor,
    device::kernels::{BatchNormAddReluForward, BatchNormAddReluSums},
};

pub fn bench(c: &mut Criterion, device: &Device) {
    let o = Operands::new(device);
    let [x, residual, y, dresidual] = o.real.each_ref().map(Tensor::ptr);
    let (rows, channels) = (o.rows, o.channels);
    let [statistics, gamma, beta] = [o.channel.ptr(); 3];
    let forward = BatchNormAddReluForward {
        x,
        residual,
        statistics,
        gamma,
        beta,
        y,
        rows,
        channels,
    };
    super::bench(c, device, "stage1", forward);
    let sums = BatchNormAddReluSums {
        x,
        y,
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
