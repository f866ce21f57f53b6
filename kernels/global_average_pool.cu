// global_average_pool: y = the mean of x over an image's pixels, channel by channel.
#include "common.cuh"

// x (images, pixels, channels), y (images, channels) real. One thread an output, grid-stride.
struct GlobalAveragePoolForward { const real* x; real* y; u32 images, pixels, channels; };

KERNEL(global_average_pool_forward, GlobalAveragePoolForward) {
  const u64 n = u64(p.images) * p.channels;
  for (u64 i = thread_index(); i < n; i += thread_count()) {
    const real* x = p.x + i / p.channels * p.pixels * p.channels + i % p.channels;
    float sum = 0.0f;
    for (u32 pixel = 0; pixel < p.pixels; ++pixel) sum += to_float(x[u64(pixel) * p.channels]);
    p.y[i] = to_real(sum / float(p.pixels));
  }
}

// dx = dy / pixels, at every pixel. dy (images, channels), dx (images, pixels, channels) real. One thread
// writes one channel of an image.
struct GlobalAveragePoolBackward { const real* dy; real* dx; u32 images, pixels, channels; };

KERNEL(global_average_pool_backward, GlobalAveragePoolBackward) {
  const u64 n = u64(p.images) * p.channels;
  for (u64 i = thread_index(); i < n; i += thread_count()) {
    real* dx = p.dx + i / p.channels * p.pixels * p.channels + i % p.channels;
    const real share = to_real(to_float(p.dy[i]) / float(p.pixels));
    for (u32 pixel = 0; pixel < p.pixels; ++pixel) dx[u64(pixel) * p.channels] = share;
  }
}
