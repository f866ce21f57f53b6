// What happens to a view is drawn once, into a row of a table, and then applied by other kernels.
#pragma once
#include "common.cuh"

// A row of the table: the same numbers as in src/ops/augment.rs.
constexpr u32 TABLE_COLS = 16;
constexpr u32 TABLE_ORDER = 0;     // 0..4: the operation applied first, second, ..; OP_NONE for no jitter
constexpr u32 TABLE_FACTORS = 4;   // 4..8: factors of brightness, contrast, saturation; hue shift in turns
constexpr u32 TABLE_GRAY = 8;      // GRAY_LAST: grey after the jitter; GRAY_FIRST: before it; 0: not grey
constexpr u32 TABLE_SIGMA = 9;     // of the blur, in pixels; 0: none
constexpr u32 TABLE_SOLARIZE = 10; // channels at or above it are inverted; 256 or more: none

constexpr float GRAY_LAST = 1.0f, GRAY_FIRST = 2.0f;
constexpr u32 OP_BRIGHTNESS = 0, OP_CONTRAST = 1, OP_SATURATION = 2, OP_HUE = 3, OP_NONE = 4;

DEVICE float solarized(float v, float threshold) { return v < threshold ? v : 255.0f - v; }
