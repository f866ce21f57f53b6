// l2_normalize: y = x / max(|x|, 1e-12), row by row.
#include "common.cuh"

// x, y (rows, cols) real; inv_norm (rows) f32, kept for backward. One block a row, which is read twice,
// the second time from L2.
struct L2NormalizeForward { const real* x; real* y; float* inv_norm; u32 rows, cols; };

KERNEL(l2_normalize_forward, L2NormalizeForward) {
  const real* x = p.x + u64(blockIdx.x) * p.cols;
  real* y = p.y + u64(blockIdx.x) * p.cols;
  float sum = 0.0f;
  for (u32 c = threadIdx.x; c < p.cols; c += blockDim.x) sum += to_float(x[c]) * to_float(x[c]);
  const float inv_norm = 1.0f / fmaxf(sqrtf(block_sum(sum)), 1e-12f);
  for (u32 c = threadIdx.x; c < p.cols; c += blockDim.x) y[c] = to_real(to_float(x[c]) * inv_norm);
  if (threadIdx.x == 0) p.inv_norm[blockIdx.x] = inv_norm;
}

// dx = (dy - y <y, dy>) inv_norm: the part of dy along y cannot change |y| = 1.
// y, dy, dx (rows, cols) real; inv_norm (rows). One block a row.
struct L2NormalizeBackward {
  const real* y; const float* inv_norm; const real* dy; real* dx; u32 rows, cols;
};

KERNEL(l2_normalize_backward, L2NormalizeBackward) {
  const u64 first = u64(blockIdx.x) * p.cols;
  const real* y = p.y + first;
  const real* dy = p.dy + first;
  float sum = 0.0f;
  for (u32 c = threadIdx.x; c < p.cols; c += blockDim.x) sum += to_float(y[c]) * to_float(dy[c]);
  const float along = block_sum(sum), inv_norm = p.inv_norm[blockIdx.x];
  for (u32 c = threadIdx.x; c < p.cols; c += blockDim.x)
    p.dx[first + c] = to_real((to_float(dy[c]) - to_float(y[c]) * along) * inv_norm);
}
