// What happens to a view is drawn once, into a row of a table, and then applied by other kernels.
#pragma once
#include "common.cuh"

// A row of the table: the same numbers as in src/ops/augment.rs.
constexpr u32 TABLE_COLS = 16;
constexpr u32 TABLE_ORDER = 0;     // 0..4: the operation applied first, second, ..; OP_NONE for no jitter
constexpr u32 TABLE_FACTORS = 4;   // 4..8: factors of brightness, contrast, saturation; hue shift in turns
constexpr u32 TABLE_GRAY = 8;      // GRAY_FIRST: grey before the jitter; GRAY_LAST: after it; GRAY_PHOTOMETRIC:
                                   // after the photometric changes; 0: not grey
constexpr u32 TABLE_SIGMA = 9;     // of the blur, in pixels; 0: none
constexpr u32 TABLE_SOLARIZE = 10; // channels at or above it are inverted; 256 or more: none

// The photometric changes, of the channels as whole numbers.
constexpr u32 TABLE_PHOTOMETRIC = 11; // 1: they are made; 0: none of them
constexpr u32 TABLE_POSTERIZE = 12;   // rounded down to a multiple of it: 1, 2, .. 16
constexpr u32 TABLE_SHARPNESS = 13;   // 1: as it is; below, blurred; above, sharpened
constexpr u32 TABLE_INVERT = 14;      // channels at or above it are inverted; 256: none

constexpr float GRAY_LAST = 1.0f, GRAY_FIRST = 2.0f, GRAY_PHOTOMETRIC = 3.0f;
constexpr u32 OP_BRIGHTNESS = 0, OP_CONTRAST = 1, OP_SATURATION = 2, OP_HUE = 3, OP_NONE = 4;

struct Rgb { float r, g, b; };

// PIL's "L", of ITU-R 601.
DEVICE float luma(Rgb v) {
  return (19595.0f / 65536.0f) * v.r + (38470.0f / 65536.0f) * v.g + (7471.0f / 65536.0f) * v.b;
}

DEVICE float clipped(float v) { return fminf(fmaxf(v, 0.0f), 255.0f); }

DEVICE float solarized(float v, float threshold) { return v < threshold ? v : 255.0f - v; }
