use super::batch_norm::Operands;
use criterion::Criterion;
use selfsame::{
    Device, Tensor,
    device::kernels::{BatchNormReluBackward, BatchNormReluForward, BatchNormReluSums},
};

pub fn bench(c: &mut Criterion, device: &Device) {
    let o = Operands::new(device);
    let [x, dy, y, _] = o.real.each_ref().map(Tensor::ptr);
    let (rows, channels) = (o.rows, o.channels);
    let [statistics, gamma, beta, dgamma, dbeta] = [o.channel.ptr(); 5];
    let forward = BatchNormReluForward {
        x,
        statistics,
        gamma,
        beta,
        y,
        rows,
        channels,
    };
    super::bench(c, device, "stage1", forward);
    let sums = BatchNormReluSums {
        x,
        dy,
        statistics,
        gamma,
        beta,
        partial: o.partial.ptr(),
        rows,
        channels,
        chunk_rows: o.chunk_rows,
    };
    super::bench(c, device, "stage1", sums);
    let backward = BatchNormReluBackward {
        x,
        dy,
        statistics,
        gamma,
        beta,
        dgamma,
        dbeta,
        dx: y,
        rows,
        channels,
        inverse_rows: 1.0 / rows as f32,
    };
    super::bench(c, device, "stage1", backward);
}
