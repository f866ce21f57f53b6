// conv2d_image: the first convolution, whose three channels fill no 16-byte chunk. Blocks of
// stride x stride pixels are folded into one pixel of stride^2 c channels (space to depth), filled up
// with zeros to a multiple of eight; the weight is folded alike, and what is left is a conv2d of stride 1.
#include "pack.cuh"

constexpr u32 CHUNK = 8;  // channels that `folded` is a multiple of: 16 bytes of bf16

// c channels at stride f, window r x s: folded channel (dh f + dw) c + channel; window tap r of the image
// is tap (r + shift) / f of the folded image, at dh = (r + shift) % f.

// x (n, h, w, c), y (n, h / f, w / f, folded), both real, sizes rounded up. One thread a chunk of y.
struct Conv2dImageFold { const real* x; real* y; u32 n, h, w, c, f, folded; };

KERNEL(conv2d_image_fold, Conv2dImageFold) {
  const u32 height = (p.h + p.f - 1) / p.f, width = (p.w + p.f - 1) / p.f, packs = p.folded / CHUNK;
  for (u64 i = thread_index(); i < u64(p.n) * height * width * packs; i += thread_count()) {
    const u64 pixel = i / packs;
    const u32 w0 = u32(pixel % width) * p.f, h0 = u32(pixel / width % height) * p.f;
    const u64 image = pixel / width / height * p.h;
    const u32 first = u32(i % packs) * CHUNK;
    store_pack(p.y + pixel * p.folded + first, pack_of<CHUNK>([&](u32 at) {
      const u32 d = first + at, channel = d % p.c, h = h0 + d / p.c / p.f, w = w0 + d / p.c % p.f;
      const bool inside = d < p.f * p.f * p.c && h < p.h && w < p.w;
      return inside ? to_float(p.x[((image + h) * p.w + w) * p.c + channel]) : 0.0f;
    }));
  }
}

// A weight (k, r, s, c), and folded (k, folded_r, folded_s, folded).
struct FoldedWeight { u32 k, r, s, c, f, shift, folded_r, folded_s, folded; };

// weight (k, r, s, c), y (k, folded_r, folded_s, folded), both real. One thread an element of y.
struct Conv2dImageFoldWeight { const real* weight; real* y; FoldedWeight g; };

KERNEL(conv2d_image_fold_weight, Conv2dImageFoldWeight) {
  const FoldedWeight& g = p.g;
  const u64 n = u64(g.k) * g.folded_r * g.folded_s * g.folded;
  for (u64 i = thread_index(); i < n; i += thread_count()) {
    const u32 d = u32(i % g.folded), tap = u32(i / g.folded % (g.folded_r * g.folded_s));
    const u64 k = i / g.folded / (g.folded_r * g.folded_s);
    const u32 r = tap / g.folded_s * g.f + d / g.c / g.f - g.shift;  // wraps below 0
    const u32 s = tap % g.folded_s * g.f + d / g.c % g.f - g.shift;
    const bool inside = d < g.f * g.f * g.c && r < g.r && s < g.s;
    p.y[i] = inside ? p.weight[((k * g.r + r) * g.s + s) * g.c + d % g.c] : to_real(0.0f);
  }
}

// dfolded (k, folded_r, folded_s, folded), dweight (k, r, s, c), both f32: the gradient of the weight from
// that of the folded one. One thread an element of dweight.
struct Conv2dImageUnfoldGradient { const float* dfolded; float* dweight; FoldedWeight g; };

KERNEL(conv2d_image_unfold_gradient, Conv2dImageUnfoldGradient) {
  const FoldedWeight& g = p.g;
  const u64 n = u64(g.k) * g.r * g.s * g.c;
  for (u64 i = thread_index(); i < n; i += thread_count()) {
    const u32 channel = u32(i % g.c), s = u32(i / g.c % g.s) + g.shift, r = u32(i / g.c / g.s % g.r) + g.shift;
    const u64 k = i / g.c / g.s / g.r;
    const u32 d = (r % g.f * g.f + s % g.f) * g.c + channel;
    p.dweight[i] = p.dfolded[((k * g.folded_r + r / g.f) * g.folded_s + s / g.f) * g.folded + d];
  }
}
