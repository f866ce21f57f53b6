// augment_draw: what will be done to each view, drawn from (seed, epoch, id, view).
#include "augment.cuh"
#include "random.cuh"

// ids (rows / pieces): row r is of image ids[r / pieces], its view number view + r % pieces; epoch (1), in
// memory since it changes while the launch does not; table (rows, 16), its fields in augment.cuh. One thread
// a row. Every row takes the same draws in the same order whatever the recipe, so that changing one
// probability changes no other draw.
struct AugmentDraw {
  const u32* ids; const u32* epoch; float* table; u64 seed; u32 rows, pieces, view;
  float brightness, contrast, saturation, hue, jitter_probability, gray_probability, gray;
  float blur_probability, sigma_low, sigma_high, solarize_probability, solarize_threshold;
  float photometric_probability;
};

// A factor of strength s: uniform in [max(0, 1 - s), 1 + s).
DEVICE float draw_factor(Draws& draws, float strength) {
  return draw_uniform(draws, fmaxf(0.0f, 1.0f - strength), 1.0f + strength);
}

KERNEL(augment_draw, AugmentDraw) {
  for (u64 row = thread_index(); row < p.rows; row += thread_count()) {
    const u32 id = p.ids[row / p.pieces], view = p.view + u32(row % p.pieces);
    Draws draws = draws_new(p.seed, PURPOSE_COLOR, *p.epoch, id, view);
    float* table = p.table + row * TABLE_COLS;
    const bool jitter = draw_unit(draws) < p.jitter_probability;
    u32 order = 0x3210;  // a permutation of the four operations, a nibble each
    for (u32 left = 4; left > 1; left--) {  // Fisher and Yates, from the back
      const u32 a = 4 * (left - 1), b = 4 * draw_below(draws, left);
      const u32 difference = (order >> a ^ order >> b) & 15;
      order ^= difference << a ^ difference << b;
    }
    for (u32 i = 0; i < 4; i++) table[TABLE_ORDER + i] = float(jitter ? order >> 4 * i & 15 : OP_NONE);
    table[TABLE_FACTORS + OP_BRIGHTNESS] = draw_factor(draws, p.brightness);
    table[TABLE_FACTORS + OP_CONTRAST] = draw_factor(draws, p.contrast);
    table[TABLE_FACTORS + OP_SATURATION] = draw_factor(draws, p.saturation);
    table[TABLE_FACTORS + OP_HUE] = draw_uniform(draws, -p.hue, p.hue);
    table[TABLE_GRAY] = draw_unit(draws) < p.gray_probability ? p.gray : 0.0f;
    const bool blur = draw_unit(draws) < p.blur_probability;
    const float sigma = draw_uniform(draws, p.sigma_low, p.sigma_high);
    table[TABLE_SIGMA] = blur ? sigma : 0.0f;
    table[TABLE_SOLARIZE] = draw_unit(draws) < p.solarize_probability ? p.solarize_threshold : 256.0f;
    table[TABLE_PHOTOMETRIC] = draw_unit(draws) < p.photometric_probability ? 1.0f : 0.0f;
    table[TABLE_POSTERIZE] = float(1 << draw_below(draws, 5));  // 8 to 4 bits
    table[TABLE_SHARPNESS] = draw_uniform(draws, 0.1f, 1.9f);
    table[TABLE_INVERT] = float(draw_below(draws, 257));
    for (u32 i = TABLE_INVERT + 1; i < TABLE_COLS; i++) table[i] = 0.0f;
  }
}
