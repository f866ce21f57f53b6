// cross_correlation: Barlow Twins' loss. Of two views a, b (n, d) of n samples, standardised along n, C = a' b / n
// (d, d); the sum of (1 - C_ii)^2, and of C_ij^2 elsewhere times off_diagonal. C is made tile by tile and never
// stored: what its loss has for a derivative is.
#include "pack.cuh"
#include "tile.cuh"

// The sums of (1 - C_ii)^2 and of C_ij^2.
struct Terms { float on = 0.0f, off = 0.0f; };

// a, b (n, d) real; dc (d, d) real: the derivative by C, over n, as backward takes it; partial (tiles, 2): of each
// tile, its Terms. One block a 64 x 64 tile of C.
struct CrossCorrelationForward {
  const real* a; const real* b; real* dc; float* partial; u32 n, d, tiles; float off_diagonal;
};

// Adds the term of C_ij = sum / n, and returns its derivative by C_ij over n.
DEVICE float term(const CrossCorrelationForward& p, u32 i, u32 j, float sum, Terms& terms) {
  const float inv_n = 1.0f / float(p.n), c = sum * inv_n;
  if (i != j) {
    terms.off += c * c;
    return 2.0f * p.off_diagonal * c * inv_n;
  }
  terms.on += (1.0f - c) * (1.0f - c);
  return 2.0f * (c - 1.0f) * inv_n;
}

DEVICE void write_terms(const CrossCorrelationForward& p, Terms terms) {
  const float on = block_sum(terms.on), off = block_sum(terms.off);
  if (threadIdx.x > 0) return;
  float* partial = p.partial + 2 * (u64(blockIdx.y) * gridDim.x + blockIdx.x);
  partial[0] = on;
  partial[1] = off;
}

// Columns of a and of b, over whose rows the sum goes.
struct Left {
  static constexpr bool ALONG_K = false;
  const real* data; u32 d;
  DEVICE float operator()(u32 i, u32 k) const { return i < d ? to_float(data[u64(k) * d + i]) : 0.0f; }
};
struct Right {
  static constexpr bool ALONG_K = false;
  const real* data; u32 d;
  DEVICE float operator()(u32 k, u32 j) const { return j < d ? to_float(data[u64(k) * d + j]) : 0.0f; }
};

KERNEL_BOUNDS(cross_correlation_forward, CrossCorrelationForward, TILE_THREADS) {
  const u32 row0 = blockIdx.y * TILE, col0 = blockIdx.x * TILE;
  float sum[4][4] = {};
  tile_product(row0, col0, 0, p.n, Left{p.a, p.d}, Right{p.b, p.d}, sum);
  const u32 row = row0 + threadIdx.x / 16 * 4, col = col0 + threadIdx.x % 16 * 4;
  Terms terms;
  for (u32 i = 0; i < 4; i++)
    for (u32 j = 0; j < 4; j++)
      if (row + i < p.d && col + j < p.d)
        p.dc[u64(row + i) * p.d + col + j] = to_real(term(p, row + i, col + j, sum[i][j], terms));
  write_terms(p, terms);
}

// partial (tiles, 2); parts (2): the sum of (1 - C_ii)^2 and that of C_ij^2; loss (1) = the first and off_diagonal
// times the second. One block: the order of the sum is a matter of tiles.
struct CrossCorrelationLoss { const float* partial; float* parts; float* loss; u32 tiles; float off_diagonal; };

KERNEL(cross_correlation_loss, CrossCorrelationLoss) {
  float on = 0.0f, off = 0.0f;
  for (u32 i = threadIdx.x; i < p.tiles; i += blockDim.x) {
    const float2 terms = *reinterpret_cast<const float2*>(p.partial + 2 * u64(i));
    on += terms.x;
    off += terms.y;
  }
  on = block_sum(on);
  off = block_sum(off);
  if (threadIdx.x > 0) return;
  p.parts[0] = on;
  p.parts[1] = off;
  p.loss[0] = on + p.off_diagonal * off;
}

// x (n) real becomes dy x, dy (1). A thread: packs of 16 bytes, grid-stride.
struct CrossCorrelationScale { real* x; const float* dy; u64 n; };

KERNEL(cross_correlation_scale, CrossCorrelationScale) {
  const float dy = p.dy[0];
  map({static_cast<const real*>(p.x)}, p.x, p.n, [&](const float (&v)[1]) { return dy * v[0]; });
}

#ifdef REAL_BF16
#include "mma_tile.cuh"

// The same by tensor cores: d is a multiple of eight.
KERNEL_BF16(cross_correlation_forward_128x64, CrossCorrelationForward, MMA_THREADS) {
  DYNAMIC_SHARED_ALIGNED(u8, shared, 128);
  const u32 row0 = blockIdx.y * 128, col0 = blockIdx.x * 64;
  MmaTile<128, 64> tile;
  tile.product(shared, row0, col0, 0, p.n, MatrixColumns{p.a, p.d, p.d}, MatrixColumns{p.b, p.d, p.d});
  Terms terms;
  tile.for_each_pair([&](u32 row, u32 column, float& first, float& second) {
    const u32 i = row0 + row, j = col0 + column;
    if (i >= p.d || j >= p.d) return;  // d is even
    first = term(p, i, j, first, terms);
    second = term(p, i, j + 1, second, terms);
  });
  tile.round_to(shared);
  MmaTile<128, 64>::Output::for_each_chunk(shared, [&](u32 row, u32 column, const uint4& chunk) {
    if (row0 + row < p.d && col0 + column < p.d) store_chunk(p.dc + u64(row0 + row) * p.d + col0 + column, chunk);
  });
  write_terms(p, terms);
}
#endif
