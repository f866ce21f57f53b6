use criterion::Criterion;
use selfsame::{
    Device, Tensor,
    device::kernels::{
        BatchNormBackward, BatchNormCombine, BatchNormForward, BatchNormStatistics, BatchNormSums,
    },
    tensor::Element,
};

/// Stage 1 of ResNet-50, its wide end: batch x 56 x 56 x 256. Chunks of 256 rows.
pub struct Operands {
    pub real: [Tensor; 4],
    /// Rows of (rows, channels) f32: per channel, and two a chunk.
    pub channel: Tensor,
    pub partial: Tensor,
    pub rows: u32,
    pub channels: u32,
    pub chunk_rows: u32,
}

impl Operands {
    pub fn new(device: &Device) -> Operands {
        let shape = [super::batch(device), 56, 56, 256];
        let real = || super::operand(device, Element::Real, shape);
        let rows = shape[..3].iter().product::<usize>();
        let channel = Tensor::from_f32(device, [2, 256], &[0.25; 512]).unwrap();
        let partial = [rows.div_ceil(256), 2, 256];
        Operands {
            real: std::array::from_fn(|_| real().unwrap()),
            channel,
            partial: super::operand(device, Element::F32, partial).unwrap(),
            rows: rows as u32,
            channels: 256,
            chunk_rows: 256,
        }
    }
}

pub fn bench(c: &mut Criterion, device: &Device) {
    let o = Operands::new(device);
    let [x, dy, y, _] = o.real.each_ref().map(Tensor::ptr);
    let (channel, partial) = (o.channel.ptr(), o.partial.ptr());
    let (rows, channels, chunk_rows) = (o.rows, o.channels, o.chunk_rows);
    let statistics = BatchNormStatistics {
        x,
        partial,
        rows,
        channels,
        chunk_rows,
    };
    super::bench(c, device, "stage1", statistics);
    let forward = BatchNormForward {
        x,
        statistics: channel,
        gamma: channel,
        beta: channel,
        y,
        rows,
        channels,
    };
    super::bench(c, device, "stage1", forward);
    let sums = BatchNormSums {
        x,
        dy,
        statistics: channel,
        partial,
        rows,
        channels,
        chunk_rows,
    };
    super::bench(c, device, "stage1", sums);
    let backward = BatchNormBackward {
        x,
        dy,
        statistics: channel,
        gamma: channel,
        dgamma: channel,
        dbeta: channel,
        dx: y,
        rows,
        channels,
        inverse_rows: 1.0 / rows as f32,
    };
    super::bench(c, device, "stage1", backward);
    combine(c, device);
}

/// Statistics that came in tiles of 128 rows, 64 channels: 6,272 chunks at batch 256.
fn combine(c: &mut Criterion, device: &Device) {
    let rows = super::batch(device) * 56 * 56;
    let chunks = [rows.div_ceil(128), 2, 64];
    let partial = super::operand(device, Element::F32, chunks).unwrap();
    let channel = || Tensor::from_f32(device, [2, 64], &[0.5; 128]).unwrap();
    let [statistics, mean, variance] = [channel(), channel(), channel()];
    let combine = BatchNormCombine {
        partial: partial.ptr(),
        statistics: statistics.ptr(),
        running_mean: mean.ptr(),
        running_variance: variance.ptr(),
        rows: rows as u32,
        channels: 64,
        chunk_rows: 128,
        momentum: 0.1,
        epsilon: 1e-5,
    };
    super::bench(c, device, "tiles", combine);
}
