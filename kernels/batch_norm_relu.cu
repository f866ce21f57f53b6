// batch_norm_relu: y = max(batch_norm(x), 0). Its statistics are batch_norm's.
#include "batch_norm.cuh"

// x, y (rows, channels) real; statistics (2, channels); gamma, beta (channels). Block (32, 8).
struct BatchNormReluForward {
  const real* x; const float* statistics; const float* gamma; const float* beta; real* y;
  u32 rows, channels;
};

KERNEL(batch_norm_relu_forward, BatchNormReluForward) {
  const u32 channel = blockIdx.x * WARP + threadIdx.x;
  if (channel >= p.channels) return;
  const Affine a = affine(p.statistics, p.gamma, p.beta, channel, p.channels);
  for_each_row(p.rows, p.channels, channel,
               [&](u64 i) { p.y[i] = to_real(fmaxf(apply(a, to_float(p.x[i])), 0.0f)); });
}

// As batch_norm_sums, of dy where y > 0. y is computed again from x: cheaper than reading it.
// x, dy (rows, channels) real; partial (chunks, 2, channels). Block (32, 8): 32 channels of one chunk.
struct BatchNormReluSums {
  const real* x; const real* dy; const float* statistics; const float* gamma; const float* beta;
  float* partial; u32 rows, channels, chunk_rows;
};

KERNEL(batch_norm_relu_sums, BatchNormReluSums) {
  const u32 channel = blockIdx.x * WARP + threadIdx.x;
  const u32 safe = channel < p.channels ? channel : 0;
  const Affine a = affine(p.statistics, p.gamma, p.beta, safe, p.channels);
  store_chunk(p.partial, p.channels, sum_chunk(p.rows, p.channels, p.chunk_rows, [&](u64 i) {
    const float x = to_float(p.x[i]);
    const float dy = apply(a, x) > 0.0f ? to_float(p.dy[i]) : 0.0f;
    return Pair{dy, dy * (x - a.mean)};
  }));
}

// As batch_norm_backward, of dy where y > 0. x, dy, dx (rows, channels) real; the rest (channels).
// Block (32, 8).
struct BatchNormReluBackward {
  const real* x; const real* dy; const float* statistics; const float* gamma; const float* beta;
  const float* dgamma; const float* dbeta; real* dx; u32 rows, channels; float inverse_rows;
};

KERNEL(batch_norm_relu_backward, BatchNormReluBackward) {
  const u32 channel = blockIdx.x * WARP + threadIdx.x;
  if (channel >= p.channels) return;
  const Affine a = affine(p.statistics, p.gamma, p.beta, channel, p.channels);
  const float along_x = a.inv_std * p.dgamma[channel] * p.inverse_rows;
  const float along_one = p.dbeta[channel] * p.inverse_rows;
  for_each_row(p.rows, p.channels, channel, [&](u64 i) {
    const float x = to_float(p.x[i]);
    const float dy = apply(a, x) > 0.0f ? to_float(p.dy[i]) : 0.0f;
    p.dx[i] = to_real(a.scale * (dy - along_one - (x - a.mean) * along_x));
  });
}
