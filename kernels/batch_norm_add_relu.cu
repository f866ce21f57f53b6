// batch_norm_add_relu: y = max(batch_norm(x) + residual, 0): the end of a residual block.
#include "batch_norm.cuh"

// x, residual, y (rows, channels) real; statistics (2, channels); gamma, beta (channels). Block (32, 8).
struct BatchNormAddReluForward {
  const real* x; const real* residual; const float* statistics; const float* gamma;
  const float* beta; real* y; u32 rows, channels;
};

KERNEL(batch_norm_add_relu_forward, BatchNormAddReluForward) {
  const u32 channel = blockIdx.x * WARP + threadIdx.x;
  if (channel >= p.channels) return;
  const Affine a = affine(p.statistics, p.gamma, p.beta, channel, p.channels);
  for_each_row(p.rows, p.channels, channel, [&](u64 i) {
    p.y[i] = to_real(fmaxf(apply(a, to_float(p.x[i])) + to_float(p.residual[i]), 0.0f));
  });
}

// dresidual = dy where y > 0, else 0; and batch_norm_sums of it. What is left of backward is then
// batch_norm_backward of dresidual. x, y, dy, dresidual (rows, channels) real; partial (chunks, 2,
// channels). Block (32, 8): 32 channels of one chunk.
struct BatchNormAddReluSums {
  const real* x; const real* y; const real* dy; const float* statistics; real* dresidual;
  float* partial; u32 rows, channels, chunk_rows;
};

KERNEL(batch_norm_add_relu_sums, BatchNormAddReluSums) {
  const u32 channel = blockIdx.x * WARP + threadIdx.x;
  const float mean = channel < p.channels ? p.statistics[channel] : 0.0f;
  store_chunk(p.partial, p.channels, sum_chunk(p.rows, p.channels, p.chunk_rows, [&](u64 i) {
    const real masked = to_float(p.y[i]) > 0.0f ? p.dy[i] : to_real(0.0f);
    p.dresidual[i] = masked;
    return Pair{to_float(masked), to_float(masked) * (to_float(p.x[i]) - mean)};
  }));
}
