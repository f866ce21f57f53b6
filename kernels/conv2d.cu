// conv2d: convolutions of NHWC activations with KRSC weights, as implicit matrix products: the unfolded
// operand is gathered tile by tile and never stored.
#include "tile.cuh"

// What the three products share: the geometry, and where a tap of the window falls.
// x (n, h, w, c), weight (k, r, s, c), y (n, p, q, k).
template <class P>
struct Forward {  // rows: output pixels; the sum: (r, s, c)
  static constexpr bool ALONG_K = true;
  const P& g;
  DEVICE float operator()(u32 row, u32 i) const {
    const u32 c = i % g.c, s = i / g.c % g.s, r = i / g.c / g.s;
    const u32 q = row % g.q, p = row / g.q % g.p, n = row / g.q / g.p;
    const u32 h = p * g.stride + r - g.padding, w = q * g.stride + s - g.padding;  // wraps below 0
    if (n >= g.n || h >= g.h || w >= g.w) return 0.0f;
    return to_float(g.x[((u64(n) * g.h + h) * g.w + w) * g.c + c]);
  }
};
template <class P>
struct Weight {  // columns: k; the sum: (r, s, c), contiguous
  static constexpr bool ALONG_K = true;
  const P& g;
  DEVICE float operator()(u32 i, u32 k) const {
    return k < g.k ? to_float(g.weight[u64(k) * g.r * g.s * g.c + i]) : 0.0f;
  }
};

// x (n, h, w, c), weight (k, r, s, c), y (n, p, q, k), p = (h + 2 padding - r) / stride + 1.
// One block a tile of 64 output pixels x 64 channels.
struct Conv2dForward { const real* x; const real* weight; real* y; u32 n, h, w, c, k, r, s, stride, padding, p, q; };

KERNEL_BOUNDS(conv2d_forward, Conv2dForward, TILE_THREADS) {
  float sum[4][4] = {};
  const u32 row0 = blockIdx.x * TILE, col0 = blockIdx.y * TILE;
  tile_product(row0, col0, 0, p.r * p.s * p.c, Forward<Conv2dForward>{p}, Weight<Conv2dForward>{p}, sum);
  const u32 row = row0 + threadIdx.x / 16 * 4, col = col0 + threadIdx.x % 16 * 4;
  for (u32 i = 0; i < 4; i++)
    for (u32 j = 0; j < 4; j++)
      if (row + i < p.n * p.p * p.q && col + j < p.k) p.y[u64(row + i) * p.k + col + j] = to_real(sum[i][j]);
}

template <class P>
struct OutputGradient {  // rows: input pixels; the sum: (r, s, k)
  static constexpr bool ALONG_K = true;
  const P& g;
  DEVICE float operator()(u32 row, u32 i) const {
    const u32 k = i % g.k, s = i / g.k % g.s, r = i / g.k / g.s;
    const u32 w = row % g.w, h = row / g.w % g.h, n = row / g.w / g.h;
    const u32 ph = h + g.padding - r, qw = w + g.padding - s;  // wraps below 0, then p or q is too large
    const u32 p = ph / g.stride, q = qw / g.stride;
    if (n >= g.n || ph % g.stride || qw % g.stride || p >= g.p || q >= g.q) return 0.0f;
    return to_float(g.dy[((u64(n) * g.p + p) * g.q + q) * g.k + k]);
  }
};
template <class P>
struct WeightOfTap {  // columns: c, contiguous; the sum: (r, s, k)
  static constexpr bool ALONG_K = false;
  const P& g;
  DEVICE float operator()(u32 i, u32 c) const {
    const u32 k = i % g.k, tap = i / g.k;
    return c < g.c ? to_float(g.weight[(u64(k) * g.r * g.s + tap) * g.c + c]) : 0.0f;
  }
};

// dy (n, p, q, k), weight (k, r, s, c), dx (n, h, w, c): each input pixel gathers from the outputs it
// reached. One block a tile of 64 input pixels x 64 channels.
struct Conv2dInputGradient { const real* dy; const real* weight; real* dx; u32 n, h, w, c, k, r, s, stride, padding, p, q; };

KERNEL_BOUNDS(conv2d_input_gradient, Conv2dInputGradient, TILE_THREADS) {
  float sum[4][4] = {};
  const u32 row0 = blockIdx.x * TILE, col0 = blockIdx.y * TILE;
  const OutputGradient<Conv2dInputGradient> dy{p};
  tile_product(row0, col0, 0, p.r * p.s * p.k, dy, WeightOfTap<Conv2dInputGradient>{p}, sum);
  const u32 row = row0 + threadIdx.x / 16 * 4, col = col0 + threadIdx.x % 16 * 4;
  for (u32 i = 0; i < 4; i++)
    for (u32 j = 0; j < 4; j++)
      if (row + i < p.n * p.h * p.w && col + j < p.c) p.dx[u64(row + i) * p.c + col + j] = to_real(sum[i][j]);
}

template <class P>
struct GradientOfChannel {  // rows: k, contiguous; the sum: output pixels
  static constexpr bool ALONG_K = false;
  const P& g;
  DEVICE float operator()(u32 k, u32 pixel) const { return k < g.k ? to_float(g.dy[u64(pixel) * g.k + k]) : 0.0f; }
};
template <class P>
struct UnfoldedInput {  // columns: (r, s, c), contiguous in c; the sum: output pixels
  static constexpr bool ALONG_K = false;
  const P& g;
  DEVICE float operator()(u32 pixel, u32 i) const {
    return i < g.r * g.s * g.c ? Forward<P>{g}(pixel, i) : 0.0f;
  }
};

// dy (n, p, q, k), x (n, h, w, c), partial (splits, k, r, s, c) f32: the sum over output pixels in
// `splits` ranges of `range` pixels. One block a tile of 64 k x 64 (r, s, c) of one split.
struct Conv2dWeightGradient { const real* dy; const real* x; float* partial; u32 n, h, w, c, k, r, s, stride, padding, p, q; u32 splits, range; };

KERNEL_BOUNDS(conv2d_weight_gradient, Conv2dWeightGradient, TILE_THREADS) {
  float sum[4][4] = {};
  const u32 row0 = blockIdx.x * TILE, col0 = blockIdx.y * TILE, columns = p.r * p.s * p.c;
  const u32 begin = blockIdx.z * p.range, pixels = p.n * p.p * p.q;
  const u32 end = begin + p.range < pixels ? begin + p.range : pixels;
  const UnfoldedInput<Conv2dWeightGradient> x{p};
  tile_product(row0, col0, begin, end, GradientOfChannel<Conv2dWeightGradient>{p}, x, sum);
  const u32 row = row0 + threadIdx.x / 16 * 4, col = col0 + threadIdx.x % 16 * 4;
  for (u32 i = 0; i < 4; i++)
    for (u32 j = 0; j < 4; j++)
      if (row + i < p.k && col + j < columns)
        p.partial[(u64(blockIdx.z) * p.k + row + i) * columns + col + j] = sum[i][j];
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
