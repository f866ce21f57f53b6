// conv2d: convolutions of NHWC activations with KRSC weights, as implicit matrix products: the unfolded
// operand is gathered tile by tile and never stored. The plain kernels here take any shape and number
// type; those that end in a tile's size run on tensor cores (conv2d_mma.cuh).
#include "tile.cuh"

// What the three products share: x (n, h, w, c), weight (k, r, s, c), y (n, p, q, k). Output pixel (p, q)
// looks at x from (p stride - padding, q stride - padding) on.
struct Window { u32 n, h, w, c, k, r, s, stride, padding, p, q; };

struct Forward {  // rows: output pixels; the sum: (r, s, c)
  static constexpr bool ALONG_K = true;
  const Window& g;
  const real* x;
  DEVICE float operator()(u32 row, u32 i) const {
    const u32 c = i % g.c, s = i / g.c % g.s, r = i / g.c / g.s;
    const u32 q = row % g.q, p = row / g.q % g.p, n = row / g.q / g.p;
    const u32 h = p * g.stride + r - g.padding, w = q * g.stride + s - g.padding;  // wraps below 0
    if (n >= g.n || h >= g.h || w >= g.w) return 0.0f;
    return to_float(x[((u64(n) * g.h + h) * g.w + w) * g.c + c]);
  }
};
struct Weight {  // columns: k; the sum: (r, s, c), contiguous
  static constexpr bool ALONG_K = true;
  const Window& g;
  const real* weight;
  DEVICE float operator()(u32 i, u32 k) const {
    return k < g.k ? to_float(weight[u64(k) * g.r * g.s * g.c + i]) : 0.0f;
  }
};

// x (n, h, w, c), weight (k, r, s, c), y (n, p, q, k), p = (h + 2 padding - r) / stride + 1. statistics
// (tiles, 2, k), where not null: of each 128 rows of y, their mean and the sum of squared differences
// from it. One block a tile of 64 output pixels x 64 channels, or as the kernel's name says.
struct Conv2dForward { const real* x; const real* weight; real* y; float* statistics; Window g; };

KERNEL_BOUNDS(conv2d_forward, Conv2dForward, TILE_THREADS) {
  const Window& g = p.g;
  float sum[4][4] = {};
  const u32 row0 = blockIdx.x * TILE, col0 = blockIdx.y * TILE;
  tile_product(row0, col0, 0, g.r * g.s * g.c, Forward{g, p.x}, Weight{g, p.weight}, sum);
  const u32 row = row0 + threadIdx.x / 16 * 4, col = col0 + threadIdx.x % 16 * 4;
  for (u32 i = 0; i < 4; i++)
    for (u32 j = 0; j < 4; j++)
      if (row + i < g.n * g.p * g.q && col + j < g.k) p.y[u64(row + i) * g.k + col + j] = to_real(sum[i][j]);
}

struct OutputGradient {  // rows: input pixels; the sum: (r, s, k)
  static constexpr bool ALONG_K = true;
  const Window& g;
  const real* dy;
  DEVICE float operator()(u32 row, u32 i) const {
    const u32 k = i % g.k, s = i / g.k % g.s, r = i / g.k / g.s;
    const u32 w = row % g.w, h = row / g.w % g.h, n = row / g.w / g.h;
    const u32 ph = h + g.padding - r, qw = w + g.padding - s;  // wraps below 0, then p or q is too large
    const u32 p = ph / g.stride, q = qw / g.stride;
    if (n >= g.n || ph % g.stride || qw % g.stride || p >= g.p || q >= g.q) return 0.0f;
    return to_float(dy[((u64(n) * g.p + p) * g.q + q) * g.k + k]);
  }
};
struct WeightOfTap {  // columns: c, contiguous; the sum: (r, s, k)
  static constexpr bool ALONG_K = false;
  const Window& g;
  const real* weight;
  DEVICE float operator()(u32 i, u32 c) const {
    const u32 k = i % g.k, tap = i / g.k;
    return c < g.c ? to_float(weight[(u64(k) * g.r * g.s + tap) * g.c + c]) : 0.0f;
  }
};

// dy (n, p, q, k), weight (k, r, s, c), dx (n, h, w, c): each input pixel gathers from the outputs it
// reached; onto (n, h, w, c), where not null, is added. One block a tile of 64 input pixels x 64 channels.
struct Conv2dInputGradient { const real* dy; const real* weight; const real* onto; real* dx; Window g; };

KERNEL_BOUNDS(conv2d_input_gradient, Conv2dInputGradient, TILE_THREADS) {
  const Window& g = p.g;
  float sum[4][4] = {};
  const u32 row0 = blockIdx.x * TILE, col0 = blockIdx.y * TILE;
  tile_product(row0, col0, 0, g.r * g.s * g.k, OutputGradient{g, p.dy}, WeightOfTap{g, p.weight}, sum);
  const u32 row = row0 + threadIdx.x / 16 * 4, col = col0 + threadIdx.x % 16 * 4;
  for (u32 i = 0; i < 4; i++)
    for (u32 j = 0; j < 4; j++)
      if (row + i < g.n * g.h * g.w && col + j < g.c) {
        const u64 at = u64(row + i) * g.c + col + j;
        const real own = to_real(sum[i][j]);
        p.dx[at] = p.onto == nullptr ? own : to_real(to_float(own) + to_float(p.onto[at]));
      }
}

struct GradientOfChannel {  // rows: k, contiguous; the sum: output pixels
  static constexpr bool ALONG_K = false;
  const Window& g;
  const real* dy;
  DEVICE float operator()(u32 k, u32 pixel) const { return k < g.k ? to_float(dy[u64(pixel) * g.k + k]) : 0.0f; }
};
struct UnfoldedInput {  // columns: (r, s, c), contiguous in c; the sum: output pixels
  static constexpr bool ALONG_K = false;
  const Window& g;
  const real* x;
  DEVICE float operator()(u32 pixel, u32 i) const {
    return i < g.r * g.s * g.c ? Forward{g, x}(pixel, i) : 0.0f;
  }
};

// dy (n, p, q, k), x (n, h, w, c), partial (splits, k, r, s, c) f32: the sum over output pixels in
// `splits` ranges of `range` pixels. One block a tile of 64 k x 64 (r, s, c) of one split.
struct Conv2dWeightGradient { const real* dy; const real* x; float* partial; Window g; u32 splits, range; };

KERNEL_BOUNDS(conv2d_weight_gradient, Conv2dWeightGradient, TILE_THREADS) {
  const Window& g = p.g;
  float sum[4][4] = {};
  const u32 row0 = blockIdx.x * TILE, col0 = blockIdx.y * TILE, columns = g.r * g.s * g.c;
  const u32 begin = blockIdx.z * p.range, pixels = g.n * g.p * g.q;
  const u32 end = begin + p.range < pixels ? begin + p.range : pixels;
  tile_product(row0, col0, begin, end, GradientOfChannel{g, p.dy}, UnfoldedInput{g, p.x}, sum);
  const u32 row = row0 + threadIdx.x / 16 * 4, col = col0 + threadIdx.x % 16 * 4;
  for (u32 i = 0; i < 4; i++)
    for (u32 j = 0; j < 4; j++)
      if (row + i < g.k && col + j < columns)
        p.partial[(u64(blockIdx.z) * g.k + row + i) * columns + col + j] = sum[i][j];
}

// partial (splits, n) f32, y (n) f32: the sum over splits, in their order. One thread an element.
struct SumSplits { const float* partial; float* y; u64 n; u32 splits; };

KERNEL(sum_splits, SumSplits) {
  for (u64 i = thread_index(); i < p.n; i += thread_count()) {
    float sum = 0.0f;
    for (u32 split = 0; split < p.splits; split++) sum += p.partial[split * p.n + i];
    p.y[i] = sum;
  }
}

#ifdef REAL_BF16
#include "conv2d_wgmma.cuh"

KERNEL_BF16(conv2d_forward_128x128, Conv2dForward, MMA_THREADS) { forward_tile<128, 128>(p); }
KERNEL_BF16(conv2d_forward_128x64, Conv2dForward, MMA_THREADS) { forward_tile<128, 64>(p); }
KERNEL_BF16(conv2d_input_gradient_128x128, Conv2dInputGradient, MMA_THREADS) { input_gradient_tile<128, 128>(p); }
KERNEL_BF16(conv2d_input_gradient_128x64, Conv2dInputGradient, MMA_THREADS) { input_gradient_tile<128, 64>(p); }
KERNEL_BF16(conv2d_weight_gradient_128x128, Conv2dWeightGradient, MMA_THREADS) { weight_gradient_tile<128, 128>(p); }
KERNEL_BF16(conv2d_weight_gradient_64x128, Conv2dWeightGradient, MMA_THREADS) { weight_gradient_tile<64, 128>(p); }

// Two blocks a multiprocessor, so that one multiplies while the other writes; the largest tile is for sums
// so long that its end does not count.
constexpr u32 LONG = 4, SHORT = 3;  // stages: 192 and 96 KB

KERNEL_MAPS(conv2d_forward_wgmma_128x256, Conv2dForward, WGMMA_THREADS, 2) { forward_wgmma<256, LONG>(maps, p); }
KERNEL_MAPS(conv2d_forward_wgmma_128x128, Conv2dForward, RESIDENT(WGMMA_THREADS, 2), 2) { forward_wgmma<128, SHORT>(maps, p); }
KERNEL_MAPS(conv2d_forward_wgmma_128x64, Conv2dForward, RESIDENT(WGMMA_THREADS, 2), 2) { forward_wgmma<64, LONG>(maps, p); }
KERNEL_MAPS(conv2d_input_gradient_wgmma_128x256, Conv2dInputGradient, WGMMA_THREADS, 5) { input_gradient_wgmma<256, LONG>(maps, p); }
KERNEL_MAPS(conv2d_input_gradient_wgmma_128x128, Conv2dInputGradient, RESIDENT(WGMMA_THREADS, 2), 5) { input_gradient_wgmma<128, SHORT>(maps, p); }
KERNEL_MAPS(conv2d_input_gradient_wgmma_128x64, Conv2dInputGradient, RESIDENT(WGMMA_THREADS, 2), 5) { input_gradient_wgmma<64, LONG>(maps, p); }
KERNEL_MAPS(conv2d_weight_gradient_wgmma_128x128, Conv2dWeightGradient, RESIDENT(WGMMA_THREADS, 2), 2) { weight_gradient_wgmma<128, 128, SHORT>(maps, p); }
KERNEL_MAPS(conv2d_weight_gradient_wgmma_64x128, Conv2dWeightGradient, RESIDENT(WGMMA_THREADS, 2), 2) { weight_gradient_wgmma<64, 128, LONG>(maps, p); }
#endif
