// matmul: c = a b (+ bias), with either operand read transposed through its strides.
#include "tile.cuh"

// element (i, k) of an operand: data[i * row + k * col]; 0 outside.
template <bool along_k>
struct Left {
  static constexpr bool ALONG_K = along_k;
  const real* data; u64 row, col; u32 rows;
  DEVICE float operator()(u32 i, u32 k) const { return i < rows ? to_float(data[i * row + k * col]) : 0.0f; }
};
template <bool along_k>
struct Right {
  static constexpr bool ALONG_K = along_k;
  const real* data; u64 row, col; u32 cols;
  DEVICE float operator()(u32 k, u32 j) const { return j < cols ? to_float(data[k * row + j * col]) : 0.0f; }
};

template <class Params>
DEVICE void product(const Params& p, float (&sum)[4][4]) {
  const u32 row0 = blockIdx.y * TILE, col0 = blockIdx.x * TILE;
  const Left<true> left{p.a, p.a_row, p.a_col, p.m};
  const Right<true> right{p.b, p.b_row, p.b_col, p.n};
  const Left<false> left_across{p.a, p.a_row, p.a_col, p.m};
  const Right<false> right_across{p.b, p.b_row, p.b_col, p.n};
  const bool a_along = p.a_col == 1, b_along = p.b_row == 1;
  if (a_along && b_along) tile_product(row0, col0, 0, p.k, left, right, sum);
  else if (a_along) tile_product(row0, col0, 0, p.k, left, right_across, sum);
  else if (b_along) tile_product(row0, col0, 0, p.k, left_across, right, sum);
  else tile_product(row0, col0, 0, p.k, left_across, right_across, sum);
}

// a (m, k), b (k, n) through strides in elements; bias (n) f32 or null; c (m, n) row-major, real.
// One block a 64 x 64 tile of c.
struct Matmul { const real* a; const real* b; const float* bias; real* c; u32 m, n, k; u32 a_row, a_col, b_row, b_col; };

KERNEL_BOUNDS(matmul, Matmul, TILE_THREADS) {
  float sum[4][4] = {};
  product(p, sum);
  const u32 row = blockIdx.y * TILE + threadIdx.x / 16 * 4, col = blockIdx.x * TILE + threadIdx.x % 16 * 4;
  for (u32 i = 0; i < 4; i++)
    for (u32 j = 0; j < 4; j++)
      if (row + i < p.m && col + j < p.n)
        p.c[u64(row + i) * p.n + col + j] = to_real(sum[i][j] + (p.bias ? p.bias[col + j] : 0.0f));
}

// The same with c (m, n) f32 and no bias: gradients of weights.
struct MatmulF32 { const real* a; const real* b; float* c; u32 m, n, k; u32 a_row, a_col, b_row, b_col; };

KERNEL_BOUNDS(matmul_f32, MatmulF32, TILE_THREADS) {
  float sum[4][4] = {};
  product(p, sum);
  const u32 row = blockIdx.y * TILE + threadIdx.x / 16 * 4, col = blockIdx.x * TILE + threadIdx.x % 16 * 4;
  for (u32 i = 0; i < 4; i++)
    for (u32 j = 0; j < 4; j++)
      if (row + i < p.m && col + j < p.n) p.c[u64(row + i) * p.n + col + j] = sum[i][j];
}

// dy (rows, cols) real, y (cols) f32: y = sum over rows, in row order within each of 8 strides.
// One block 32 columns: threads (32, 8), each column's eight partial sums meet in shared memory.
struct ColumnSums { const real* dy; float* y; u32 rows, cols; };

KERNEL(column_sums, ColumnSums) {
  SHARED_ARRAY(float, partial, 8 * WARP);
  const u32 col = blockIdx.x * WARP + threadIdx.x;
  float sum = 0.0f;
  if (col < p.cols)
    for (u32 row = threadIdx.y; row < p.rows; row += 8) sum += to_float(p.dy[u64(row) * p.cols + col]);
  partial[threadIdx.y * WARP + threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || col >= p.cols) return;
  for (u32 i = 1; i < 8; i++) sum += partial[i * WARP + threadIdx.x];
  p.y[col] = sum;
}

#ifdef REAL_BF16
#include "mma_tile.cuh"

// The same by tensor cores: rows and columns of operands come in aligned chunks of eight.
template <class Params, class Tile>
DEVICE void product(const Params& p, Tile& tile, u8* shared, u32 row0, u32 col0) {
  const MatrixRows a{p.a, p.m, p.a_row}, b{p.b, p.n, p.b_col};
  const MatrixColumns a_across{p.a, p.m, p.a_col}, b_across{p.b, p.n, p.b_row};
  const bool a_along = p.a_col == 1, b_along = p.b_row == 1;
  if (a_along && b_along) tile.product(shared, row0, col0, 0, p.k, a, b);
  else if (a_along) tile.product(shared, row0, col0, 0, p.k, a, b_across);
  else if (b_along) tile.product(shared, row0, col0, 0, p.k, a_across, b);
  else tile.product(shared, row0, col0, 0, p.k, a_across, b_across);
}

KERNEL_BF16(matmul_128x64, Matmul, MMA_THREADS) {
  DYNAMIC_SHARED_ALIGNED(u8, shared, 128);
  const u32 row0 = blockIdx.y * 128, col0 = blockIdx.x * 64;
  MmaTile<128, 64> tile;
  product(p, tile, shared, row0, col0);
  if (p.bias != nullptr)
    tile.for_each_pair([&](u32, u32 column, float& first, float& second) {
      if (col0 + column >= p.n) return;  // n is even
      first += p.bias[col0 + column];
      second += p.bias[col0 + column + 1];
    });
  tile.round_to(shared);
  MmaTile<128, 64>::Output::for_each_chunk(shared, [&](u32 row, u32 column, const uint4& chunk) {
    if (row0 + row < p.m && col0 + column < p.n) store_chunk(p.c + u64(row0 + row) * p.n + col0 + column, chunk);
  });
}

KERNEL_BF16(matmul_f32_128x64, MatmulF32, MMA_THREADS) {
  DYNAMIC_SHARED_ALIGNED(u8, shared, 128);
  const u32 row0 = blockIdx.y * 128, col0 = blockIdx.x * 64;
  MmaTile<128, 64> tile;
  product(p, tile, shared, row0, col0);
  tile.for_each_pair([&](u32 row, u32 column, float first, float second) {
    if (row0 + row >= p.m || col0 + column >= p.n) return;
    *reinterpret_cast<float2*>(p.c + u64(row0 + row) * p.n + col0 + column) = make_float2(first, second);
  });
}
#endif
