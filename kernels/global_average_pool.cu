// global_average_pool: y = the mean of x over an image's pixels, channel by channel.
#include "pack.cuh"

// x (images, pixels, channels), y (images, channels) real. A thread: a pack of channels of an image,
// grid-stride.
struct GlobalAveragePoolForward { const real* x; real* y; u32 images, pixels, channels; };

KERNEL(global_average_pool_forward, GlobalAveragePoolForward) {
  const u32 packs = (p.channels + PACK - 1) / PACK;
  for (u64 i = thread_index(); i < u64(p.images) * packs; i += thread_count()) {
    const u64 image = i / packs;
    const real* x = p.x + image * p.pixels * p.channels;
    with_lane(u32(i % packs), p.channels, [&](Lane lane) {
      Pack<float> sum = {};
      walk<4>(lane.whole, 0, 1, p.pixels, 4, [&](u64 pixel) { return lane.load(x + pixel * p.channels); },
          [&](u64, const Pack<real>& v) {
#pragma unroll
            for (u32 c = 0; c < PACK; ++c) sum.at[c] += to_float(v.at[c]);
          });
      const auto mean = pack_of([&](u32 c) { return sum.at[c] / float(p.pixels); });
      lane.store(p.y + image * p.channels, to_reals(mean));
    });
  }
}

// dx = dy / pixels, at every pixel. dy (images, channels), dx (images, pixels, channels) real. A thread
// writes a pack of channels of an image.
struct GlobalAveragePoolBackward { const real* dy; real* dx; u32 images, pixels, channels; };

KERNEL(global_average_pool_backward, GlobalAveragePoolBackward) {
  const u32 packs = (p.channels + PACK - 1) / PACK;
  for (u64 i = thread_index(); i < u64(p.images) * packs; i += thread_count()) {
    const u64 image = i / packs;
    with_lane(u32(i % packs), p.channels, [&](Lane lane) {
      const Pack<real> dy = lane.load(p.dy + image * p.channels);
      const Pack<real> share =
          to_reals(pack_of([&](u32 c) { return to_float(dy.at[c]) / float(p.pixels); }));
      real* dx = p.dx + image * p.pixels * p.channels;
      for (u32 pixel = 0; pixel < p.pixels; ++pixel) lane.store(dx + u64(pixel) * p.channels, share);
    });
  }
}
