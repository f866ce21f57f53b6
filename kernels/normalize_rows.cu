// normalize_rows: every row divided by its length, in place.
#include "common.cuh"

// values (rows, cols) f32, becoming values / max(|values|, 1e-12); reals (rows, cols) real, the same, or null. One
// block a row, which is read twice, the second time from L2.
struct NormalizeRows { float* values; real* reals; u32 rows, cols; };

KERNEL(normalize_rows, NormalizeRows) {
  const u64 first = u64(blockIdx.x) * p.cols;
  float* values = p.values + first;
  float sum = 0.0f;
  for (u32 c = threadIdx.x; c < p.cols; c += blockDim.x) {
    const float value = values[c];
    sum += value * value;
  }
  const float inv_norm = 1.0f / fmaxf(sqrtf(block_sum(sum)), 1e-12f);
  for (u32 c = threadIdx.x; c < p.cols; c += blockDim.x) {
    const float value = values[c] * inv_norm;
    values[c] = value;
    if (p.reals != nullptr) p.reals[first + c] = to_real(value);
  }
}
