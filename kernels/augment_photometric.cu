// augment_photometric: posterize, sharpness, solarize and autocontrast of views, one after another as PIL
// has them, where the table says so; then grayscale, where it waited for them. Sums and products are not
// fused: channels are whole numbers on the way, and every device must round to the same ones.
#include "augment.cuh"

// A view as (height, width, 3), and its row of the table.
struct View { const float* x; const float* table; u32 height, width; };

DEVICE float posterized(const View& v, u32 at) {
  const float step = v.table[TABLE_POSTERIZE];  // a power of two: nothing is rounded but the channel
  return step * floorf(rintf(v.x[at]) / step);
}

// smooth + factor (v - smooth), where smooth is the mean of the neighbours and five times itself; the border
// is its own.
DEVICE float sharpened(const View& v, u32 at) {
  const u32 line = at / (3 * v.width), column = at / 3 % v.width;
  const float own = posterized(v, at), factor = v.table[TABLE_SHARPNESS];
  if (line == 0 || line + 1 == v.height || column == 0 || column + 1 == v.width) return own;
  float sum = 4.0f * own;  // and once below
  for (u32 down = 0; down < 3; down++)
    for (u32 across = 0; across < 3; across++)
      sum += posterized(v, at + 3 * (down * v.width + across) - 3 * (v.width + 1));
  const float smooth = rintf(__fmul_rn(sum, 1.0f / 13.0f));
  return clipped(floorf(__fadd_rn(smooth, __fmul_rn(factor, own - smooth))));
}

// What comes before the stretch of the contrast.
DEVICE float changed(const View& v, u32 at) { return solarized(sharpened(v, at), v.table[TABLE_INVERT]); }

// x, y (rows, height, width, 3) f32 in 0..255; table (rows, 16). One block a view, whose changes are written
// and then stretched: by the whole view's least and greatest of each channel.
struct AugmentPhotometric { const float* x; const float* table; float* y; u32 rows, height, width; };

// The changes of a view in y; in low and high, each channel's bounds.
DEVICE void change(const View& view, float* y, float (&low)[3], float (&high)[3]) {
  for (u32 i = threadIdx.x; i < 3 * view.height * view.width; i += blockDim.x) {
    const float v = changed(view, i);
    y[i] = v;
#pragma unroll
    for (u32 c = 0; c < 3; c++) {
      if (i % 3 != c) continue;
      low[c] = fminf(low[c], v);
      high[c] = fmaxf(high[c], v);
    }
  }
  for (u32 c = 0; c < 3; c++) {
    low[c] = -block_max(-low[c]);  // and behind its barriers all of y is written
    high[c] = block_max(high[c]);
  }
}

KERNEL(augment_photometric, AugmentPhotometric) {
  const u32 pixels = p.height * p.width;
  const u64 first = u64(blockIdx.x) * pixels * 3;
  const float* table = p.table + u64(blockIdx.x) * TABLE_COLS;
  const float* x = p.x + first;
  float* y = p.y + first;
  float least[3] = {0.0f, 0.0f, 0.0f}, stretch[3] = {1.0f, 1.0f, 1.0f};
  if (table[TABLE_PHOTOMETRIC] != 0.0f) {  // the whole block
    float low[3] = {255.0f, 255.0f, 255.0f}, high[3] = {0.0f, 0.0f, 0.0f};
    change({x, table, p.height, p.width}, y, low, high);
    for (u32 c = 0; c < 3; c++) {
      if (high[c] <= low[c]) continue;
      least[c] = low[c];
      stretch[c] = 255.0f / (high[c] - low[c]);
    }
    x = y;
  }
  const bool gray = table[TABLE_GRAY] == GRAY_PHOTOMETRIC;
  for (u32 i = threadIdx.x; i < pixels; i += blockDim.x) {
    float v[3];
    for (u32 c = 0; c < 3; c++) v[c] = (x[3 * i + c] - least[c]) * stretch[c];
    if (gray) v[0] = v[1] = v[2] = luma({v[0], v[1], v[2]});
    for (u32 c = 0; c < 3; c++) y[3 * i + c] = v[c];
  }
}
