// augment_color: colour jitter, grayscale, solarize and normalisation of views, as the table says.
// Channels are floats in 0..255, clipped but not rounded after each operation; otherwise as in PIL.
#include "augment.cuh"

DEVICE Rgb pixel_at(const u8* x, u64 pixel) {
  return {float(x[3 * pixel]), float(x[3 * pixel + 1]), float(x[3 * pixel + 2])};
}

// What the jitter gets to see.
DEVICE Rgb seen_at(const u8* x, u64 pixel, const float* table) {
  Rgb v = pixel_at(x, pixel);
  if (table[TABLE_GRAY] == GRAY_FIRST) v.r = v.g = v.b = luma(v);
  return v;
}

// factor v + (1 - factor) other, channel by channel.
DEVICE Rgb blended(Rgb v, float other, float factor) {
  const float rest = (1.0f - factor) * other;
  return {clipped(factor * v.r + rest), clipped(factor * v.g + rest), clipped(factor * v.b + rest)};
}

// `turns` around the colour circle, value and saturation unchanged: with V the largest channel, C the
// chroma and h the hue in 0..6, a channel is V - C max(0, min(k, 4 - k, 1)), k = n + h mod 6, n = 5, 3, 1.
DEVICE Rgb turned(Rgb v, float turns) {
  const float most = fmaxf(v.r, fmaxf(v.g, v.b)), chroma = most - fminf(v.r, fminf(v.g, v.b));
  const float inverse = chroma > 0.0f ? 1.0f / chroma : 0.0f;
  float hue = most == v.r   ? (v.g - v.b) * inverse
              : most == v.g ? (v.b - v.r) * inverse + 2.0f
                            : (v.r - v.g) * inverse + 4.0f;
  hue += 6.0f * turns;  // in [-4, 8], as |turns| <= 1/2
  hue += hue < 0.0f ? 6.0f : hue >= 6.0f ? -6.0f : 0.0f;
  float channel[3];
#pragma unroll
  for (u32 i = 0; i < 3; i++) {
    float k = hue + float(5 - 2 * i);
    k -= k >= 6.0f ? 6.0f : 0.0f;
    channel[i] = most - chroma * fmaxf(0.0f, fminf(fminf(k, 4.0f - k), 1.0f));
  }
  return {channel[0], channel[1], channel[2]};
}

// The first `count` operations of a row of the table; `mean` is that of L where contrast is met.
DEVICE Rgb jittered(Rgb v, const float* table, u32 count, float mean) {
  for (u32 i = 0; i < count; i++) {
    const u32 op = u32(table[TABLE_ORDER + i]);
    if (op >= OP_NONE) break;
    const float factor = table[TABLE_FACTORS + op];
    if (op == OP_BRIGHTNESS) v = blended(v, 0.0f, factor);
    if (op == OP_CONTRAST) v = blended(v, mean, factor);
    if (op == OP_SATURATION) v = blended(v, luma(v), factor);
    if (op == OP_HUE) v = turned(v, factor);
  }
  return v;
}

// The mean of L after the operations that come before contrast; 0 where there is no contrast.
DEVICE float mean_at_contrast(const u8* x, const float* table, u32 pixels) {
  u32 before = 0;
  while (before < 4 && u32(table[TABLE_ORDER + before]) != OP_CONTRAST) before++;
  if (before == 4) return 0.0f;  // the whole block leaves
  float sum = 0.0f;
  for (u32 i = threadIdx.x; i < pixels; i += blockDim.x)
    sum += luma(jittered(seen_at(x, i, table), table, before, 0.0f));
  return block_sum(sum) / float(pixels);
}

// x (rows, pixels, 3) u8; table (rows, 16), or null: only normalise; y (rows, pixels, 3) real. One block
// a view; where contrast is drawn, its pixels are read twice, once for the mean.
struct AugmentColor {
  const u8* x; const float* table; real* y; u32 rows, pixels;
  float scale_r, scale_g, scale_b, shift_r, shift_g, shift_b;
};

KERNEL(augment_color, AugmentColor) {
  const u64 first = u64(blockIdx.x) * p.pixels * 3;
  const u8* x = p.x + first;
  real* y = p.y + first;
  const float* table = p.table ? p.table + u64(blockIdx.x) * TABLE_COLS : nullptr;
  const float mean = table ? mean_at_contrast(x, table, p.pixels) : 0.0f;
  for (u32 i = threadIdx.x; i < p.pixels; i += blockDim.x) {
    Rgb v;
    if (!table) {
      v = pixel_at(x, i);
    } else {
      v = jittered(seen_at(x, i, table), table, 4, mean);
      if (table[TABLE_GRAY] == GRAY_LAST) v.r = v.g = v.b = luma(v);
      const float threshold = table[TABLE_SOLARIZE];
      v = {solarized(v.r, threshold), solarized(v.g, threshold), solarized(v.b, threshold)};
    }
    y[3 * i] = to_real(v.r * p.scale_r + p.shift_r);
    y[3 * i + 1] = to_real(v.g * p.scale_g + p.shift_g);
    y[3 * i + 2] = to_real(v.b * p.scale_b + p.shift_b);
  }
}

// The part of it that comes before a blur: x (rows, pixels, 3) u8, table (rows, 16), y (rows, pixels, 3)
// f32 in 0..255, jittered and maybe grey. One block a view.
struct AugmentJitter { const u8* x; const float* table; float* y; u32 rows, pixels; };

KERNEL(augment_jitter, AugmentJitter) {
  const u64 first = u64(blockIdx.x) * p.pixels * 3;
  const u8* x = p.x + first;
  float* y = p.y + first;
  const float* table = p.table + u64(blockIdx.x) * TABLE_COLS;
  const float mean = mean_at_contrast(x, table, p.pixels);
  for (u32 i = threadIdx.x; i < p.pixels; i += blockDim.x) {
    Rgb v = jittered(seen_at(x, i, table), table, 4, mean);
    if (table[TABLE_GRAY] == GRAY_LAST) v.r = v.g = v.b = luma(v);
    y[3 * i] = v.r;
    y[3 * i + 1] = v.g;
    y[3 * i + 2] = v.b;
  }
}
