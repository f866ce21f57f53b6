// max_pool: y = the largest x of each window, channel by channel; nothing outside the image wins.
#include "pack.cuh"

// x (images, height, width, channels), y (images, out_height, out_width, channels) real; index, of y's
// shape: the winner's place in its window, row by row; the first of equals. padding <= window / 2, so
// that each window meets the image. Threads along (out_width, packs of channels); blocks down (images,
// out_height).
struct MaxPoolForward {
  const real* x; real* y; u8* index;
  u32 images, height, width, channels, out_height, out_width, window, stride, padding;
};

KERNEL(max_pool_forward, MaxPoolForward) {
  const u32 packs = (p.channels + PACK - 1) / PACK;
  const u32 column = blockIdx.x * blockDim.x + threadIdx.x;
  if (column >= p.out_width * packs) return;
  const u32 out_x = column / packs;
  const u32 left = out_x * p.stride;  // of the window, counted from the padding's edge
  with_lanes(column % packs, p.channels, [&](Lane lane) {
    for (u32 row = blockIdx.y; row < p.images * p.out_height; row += gridDim.y) {
      const u32 image = row / p.out_height, top = row % p.out_height * p.stride;
      u32 first = (top < p.padding ? p.padding - top : 0) * p.window;
      first += left < p.padding ? p.padding - left : 0;  // the first place inside the image
      Pack<float> best = pack_of([&](u32) { return -INFINITY; });
      Pack<u8> winner;
#pragma unroll
      for (u32 i = 0; i < PACK; ++i) winner.at[i] = u8(first);
      for (u32 down = 0; down < p.window; ++down)
        for (u32 right = 0; right < p.window; ++right) {
          const u32 in_y = top + down - p.padding, in_x = left + right - p.padding;
          if (in_y >= p.height || in_x >= p.width) continue;  // those before the image wrapped around
          const u64 pixel = (u64(image) * p.height + in_y) * p.width + in_x;
          const Pack<real> x = lane.load(p.x + pixel * p.channels);
#pragma unroll
          for (u32 i = 0; i < PACK; ++i) {
            const float v = to_float(x.at[i]);
            if (!(v > best.at[i] || v != v)) continue;  // NaN wins, to be seen
            best.at[i] = v;
            winner.at[i] = u8(down * p.window + right);
          }
        }
      const u64 at = (u64(row) * p.out_width + out_x) * p.channels;
      lane.store(p.y + at, to_reals(best));
      lane.store(p.index + at, winner);
    }
  });
}

// dx = the sum of dy over the windows that x won. index, dy (images, out_height, out_width, channels);
// dx (images, height, width, channels). Gathered: each x asks the windows that cover it, in order.
// Threads along (width, packs of channels); blocks down (images, height).
struct MaxPoolBackward {
  const u8* index; const real* dy; real* dx;
  u32 images, height, width, channels, out_height, out_width, window, stride, padding;
};

// The first window that reaches place `at`, counted from the padding's edge.
DEVICE u32 first_window(u32 at, u32 window, u32 stride) {
  return at < window ? 0 : (at - window) / stride + 1;
}

KERNEL(max_pool_backward, MaxPoolBackward) {
  const u32 packs = (p.channels + PACK - 1) / PACK;
  const u32 column = blockIdx.x * blockDim.x + threadIdx.x;
  if (column >= p.width * packs) return;
  const u32 in_x = column / packs, at_x = in_x + p.padding;
  with_lanes(column % packs, p.channels, [&](Lane lane) {
    for (u32 row = blockIdx.y; row < p.images * p.height; row += gridDim.y) {
      const u32 image = row / p.height, at_y = row % p.height + p.padding;
      Pack<float> sum = {};
      for (u32 out_y = first_window(at_y, p.window, p.stride);
           out_y < p.out_height && out_y * p.stride <= at_y; ++out_y)
        for (u32 out_x = first_window(at_x, p.window, p.stride);
             out_x < p.out_width && out_x * p.stride <= at_x; ++out_x) {
          const u32 place = (at_y - out_y * p.stride) * p.window + at_x - out_x * p.stride;
          const u64 at = ((u64(image) * p.out_height + out_y) * p.out_width + out_x) * p.channels;
          const Pack<u8> index = lane.load(p.index + at);
          const Pack<real> dy = lane.load(p.dy + at);
#pragma unroll
          for (u32 i = 0; i < PACK; ++i)
            if (index.at[i] == place) sum.at[i] += to_float(dy.at[i]);
        }
      lane.store(p.dx + (u64(row) * p.width + in_x) * p.channels, to_reals(sum));
    }
  });
}
