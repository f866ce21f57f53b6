// augment_blur: a separable Gaussian of 2 radius + 1 taps, its width drawn for each view, edges
// repeated; then what remains of augmentation: solarize and normalisation.
#include "augment.cuh"

constexpr u32 MOST_TAPS = 128;

// The taps of a row of the table into shared memory, their sum 1. Returns the radius: 0 where no blur
// was drawn.
DEVICE u32 load_taps(float* taps, const float* table, u32 radius) {
  const float sigma = table[TABLE_SIGMA];
  if (sigma == 0.0f) radius = 0;
  for (u32 i = threadIdx.x; i <= 2 * radius; i += blockDim.x) {
    const float distance = float(i32(i) - i32(radius));
    taps[i] = sigma == 0.0f ? 1.0f : expf(-0.5f * distance * distance / (sigma * sigma));
  }
  __syncthreads();
  float sum = 0.0f;
  for (u32 i = 0; i <= 2 * radius; i++) sum += taps[i];
  __syncthreads();  // every thread has its sum
  for (u32 i = threadIdx.x; i <= 2 * radius; i += blockDim.x) taps[i] /= sum;
  __syncthreads();
  return radius;
}

// x, y (rows, height, width, 3) f32; table (rows, 16). Blurs along a line. One block a line of a view.
struct AugmentBlurLines { const float* x; const float* table; float* y; u32 rows, height, width, radius; };

KERNEL(augment_blur_lines, AugmentBlurLines) {
  SHARED_ARRAY(float, taps, MOST_TAPS);
  const u32 row = blockIdx.x / p.height;
  const u32 radius = load_taps(taps, p.table + u64(row) * TABLE_COLS, p.radius);
  const float* x = p.x + u64(blockIdx.x) * p.width * 3;
  float* y = p.y + u64(blockIdx.x) * p.width * 3;
  for (u32 i = threadIdx.x; i < p.width * 3; i += blockDim.x) {
    float sum = 0.0f;
    for (u32 tap = 0; tap <= 2 * radius; tap++) {
      const i32 column = i32(i / 3 + tap) - i32(radius);
      sum += taps[tap] * x[u32(min(max(column, 0), i32(p.width) - 1)) * 3 + i % 3];
    }
    y[i] = sum;
  }
}

// x (rows, height, width, 3) f32 in 0..255; table (rows, 16); y real of the same shape. Blurs across
// lines, solarizes, normalises. One block a line of a view.
struct AugmentBlurColumns {
  const float* x; const float* table; real* y; u32 rows, height, width, radius;
  float scale_r, scale_g, scale_b, shift_r, shift_g, shift_b;
};

KERNEL(augment_blur_columns, AugmentBlurColumns) {
  SHARED_ARRAY(float, taps, MOST_TAPS);
  const u32 row = blockIdx.x / p.height, line = blockIdx.x % p.height;
  const float* table = p.table + u64(row) * TABLE_COLS;
  const u32 radius = load_taps(taps, table, p.radius);
  const float* x = p.x + u64(row) * p.height * p.width * 3;
  real* y = p.y + u64(blockIdx.x) * p.width * 3;
  const float threshold = table[TABLE_SOLARIZE];
  for (u32 i = threadIdx.x; i < p.width * 3; i += blockDim.x) {
    float sum = 0.0f;
    for (u32 tap = 0; tap <= 2 * radius; tap++) {
      const i32 from = i32(line + tap) - i32(radius);
      sum += taps[tap] * x[u64(min(max(from, 0), i32(p.height) - 1)) * p.width * 3 + i];
    }
    const u32 channel = i % 3;
    const float scale = channel == 0 ? p.scale_r : channel == 1 ? p.scale_g : p.scale_b;
    const float shift = channel == 0 ? p.shift_r : channel == 1 ? p.shift_g : p.shift_b;
    y[i] = to_real(solarized(sum, threshold) * scale + shift);
  }
}
