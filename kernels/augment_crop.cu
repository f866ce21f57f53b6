// augment_crop: boxes of small images that live on the device, resized to squares, maybe turned and mirrored.
// The filter is PIL's antialiased triangle: as wide as the shrinking asks, cut off at the box.
#include "common.cuh"

// The source pixels an output pixel takes along one axis, and where their triangle stands.
struct Taps { u32 first, end; float centre, inverse_support, sum; };

DEVICE float tap(const Taps& t, u32 at) {
  return fmaxf(0.0f, 1.0f - fabsf(__fmul_rn(float(at) + 0.5f - t.centre, t.inverse_support)));
}

// Output pixel `at` of `size`, of a box that starts at `start` and is `length` long, in `limit` pixels.
DEVICE Taps taps_of(u32 at, u32 size, float start, float length, u32 limit) {
  const float scale = length / float(size), support = fmaxf(scale, 1.0f);
  Taps t;
  t.centre = __fadd_rn(start, __fmul_rn(float(at) + 0.5f, scale));
  t.inverse_support = 1.0f / support;
  const float low = fmaxf(floorf(start), 0.0f), high = fminf(ceilf(start + length), float(limit));
  t.first = u32(fmaxf(floorf(t.centre - support + 0.5f), low));
  t.end = u32(fminf(floorf(t.centre + support + 0.5f), high));
  t.sum = 0.0f;
  for (u32 i = t.first; i < t.end; i++) t.sum += tap(t, i);
  return t;
}

// images (count, height, width, 3) u8; indices (rows): which image; boxes (rows, 6): x, y, width, height
// in pixels, quarters to turn counter-clockwise, then 1 to mirror; y (rows, size, size, 3) u8. One thread an output pixel. No product is
// fused with a sum, so that every device rounds to the same bytes.
struct AugmentCrop {
  const u8* images; const u32* indices; const float* boxes; u8* y;
  u32 count, height, width, rows, size;
};

KERNEL(augment_crop, AugmentCrop) {
  const u64 pixels = u64(p.rows) * p.size * p.size;
  const u32 last = p.size - 1;
  for (u64 i = thread_index(); i < pixels; i += thread_count()) {
    const u64 row = i / (p.size * p.size);
    const u32 line = u32(i / p.size % p.size), at = u32(i % p.size);
    const float* box = p.boxes + row * 6;
    const u32 seen = box[5] != 0.0f ? last - at : at, turns = u32(box[4]);
    // Where output pixel (line, seen) lay before the turn.
    const u32 column = turns == 0 ? seen : turns == 1 ? last - line : turns == 2 ? last - seen : line;
    const u32 from = turns == 0 ? line : turns == 1 ? seen : turns == 2 ? last - line : last - seen;
    const Taps across = taps_of(column, p.size, box[0], box[2], p.width);
    const Taps down = taps_of(from, p.size, box[1], box[3], p.height);
    const u8* image = p.images + u64(p.indices[row]) * p.height * p.width * 3;
    float sum[3] = {0.0f, 0.0f, 0.0f};
    for (u32 h = down.first; h < down.end; h++) {
      float along[3] = {0.0f, 0.0f, 0.0f};
      for (u32 w = across.first; w < across.end; w++) {
        const float weight = tap(across, w);
        const u8* pixel = image + (u64(h) * p.width + w) * 3;
#pragma unroll
        for (u32 c = 0; c < 3; c++) along[c] = __fadd_rn(along[c], __fmul_rn(weight, float(pixel[c])));
      }
      const float weight = tap(down, h);
#pragma unroll
      for (u32 c = 0; c < 3; c++) sum[c] = __fadd_rn(sum[c], __fmul_rn(weight, along[c]));
    }
    const float total = across.sum * down.sum;
#pragma unroll
    for (u32 c = 0; c < 3; c++) p.y[i * 3 + c] = u8(fminf(sum[c] / total + 0.5f, 255.0f));
  }
}
