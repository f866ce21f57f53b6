// Rows against rows, for any d and number type: the matrix of their cosines is made tile by tile and never
// stored. What nt_xent and info_nce share; on tensor cores they share contrast_mma.cuh.
#pragma once
#include "common.cuh"

constexpr u32 TILE_ROWS = 32;    // rows a block owns
constexpr u32 TILE_COLS = 64;    // columns of cosines it makes at a time
constexpr u32 TILE_DEPTH = 32;   // of d, in shared memory at a time
constexpr u32 PITCH = TILE_DEPTH + 1;  // + 1: 16 lanes reading one column hit 16 banks
constexpr u32 WEIGHT_PITCH = TILE_COLS + 1;
constexpr u32 SIDE = 16;         // 256 threads as 16 x 16: each makes 2 rows x 4 columns
constexpr u32 BLOCKS_HELD = 3;   // by a multiprocessor: for more of them the compiler would spill registers
constexpr u32 CHUNKS = 4;        // of TILE_DEPTH, of the gradient a block writes: see `grid`

// Rows of length 1, as they are stored: z (rows, d) times inv_norm (rows), which is nullptr where z has that
// length already.
struct UnitRows { const real* z; const float* inv_norm; u32 rows, d; };

// Rows `first` .. `first + n` and columns `depth` .. `depth + TILE_DEPTH`; zero outside.
DEVICE void load_tile(float* tile, u32 n, const UnitRows& unit, u32 first, u32 depth) {
  for (u32 i = threadIdx.x; i < n * TILE_DEPTH; i += SIDE * SIDE) {
    const u32 row = first + i / TILE_DEPTH, k = depth + i % TILE_DEPTH;
    float value = 0.0f;
    if (row < unit.rows && k < unit.d) {
      value = to_float(unit.z[u64(row) * unit.d + k]);
      if (unit.inv_norm != nullptr) value *= unit.inv_norm[row];
    }
    tile[i / TILE_DEPTH * PITCH + i % TILE_DEPTH] = value;
  }
}

// This thread's 2 x 4 of the cosines of rows `row` .. + 32 of a with rows `col` .. + 64 of b: rows y, y + 16
// and columns x, x + 16, x + 32, x + 48 of the tile.
DEVICE void cosines(float (&cosine)[2][4], float* a_tile, float* b_tile, const UnitRows& a, u32 row,
                    const UnitRows& b, u32 col) {
  const u32 x = threadIdx.x % SIDE, y = threadIdx.x / SIDE;
#pragma unroll
  for (u32 i = 0; i < 2; i++)
#pragma unroll
    for (u32 j = 0; j < 4; j++) cosine[i][j] = 0.0f;
  for (u32 depth = 0; depth < a.d; depth += TILE_DEPTH) {
    load_tile(a_tile, TILE_ROWS, a, row, depth);
    load_tile(b_tile, TILE_COLS, b, col, depth);
    __syncthreads();
    for (u32 k = 0; k < TILE_DEPTH; k++) {
      float factor[4];
#pragma unroll
      for (u32 j = 0; j < 4; j++) factor[j] = b_tile[(x + j * SIDE) * PITCH + k];
#pragma unroll
      for (u32 i = 0; i < 2; i++) {
        const float other = a_tile[(y + i * SIDE) * PITCH + k];
#pragma unroll
        for (u32 j = 0; j < 4; j++) cosine[i][j] += other * factor[j];
      }
    }
    __syncthreads();  // the tiles are loaded anew
  }
}

// Calls body(i, row, column, cosine) for this thread's 2 x 4, rows and columns counted within the tile.
template <class Body>
DEVICE void for_each_cosine(const float (&cosine)[2][4], Body body) {
  const u32 x = threadIdx.x % SIDE, y = threadIdx.x / SIDE;
#pragma unroll
  for (u32 i = 0; i < 2; i++)
#pragma unroll
    for (u32 j = 0; j < 4; j++) body(i, y + i * SIDE, x + j * SIDE, cosine[i][j]);
}

// The sum of exponentials `sum` relative to `most`, with another such sum added to it.
DEVICE void add_exponentials(float& most, float& sum, float other_most, float other_sum) {
  const float larger = fmaxf(most, other_most);
  if (larger == -INFINITY) return;  // both are empty
  sum = sum * expf(most - larger) + other_sum * expf(other_most - larger);
  most = larger;
}

// A thread's share of the sums of exponentials of its two rows: 16 lanes share a row.
struct RowSums {
  float most[2] = {-INFINITY, -INFINITY}, sum[2] = {0.0f, 0.0f};

  DEVICE void add(u32 i, float s) { add_exponentials(most[i], sum[i], s, 1.0f); }
  // lse (rows): the logarithms, of rows `first` .. + 32.
  DEVICE void store(float* lse, u32 first, u32 rows) {
#pragma unroll
    for (u32 i = 0; i < 2; i++) {
      for (u32 step = SIDE / 2; step > 0; step /= 2) {
        const float other_most = __shfl_xor_sync(ALL_LANES, most[i], step);
        const float other_sum = __shfl_xor_sync(ALL_LANES, sum[i], step);
        add_exponentials(most[i], sum[i], other_most, other_sum);
      }
      const u32 row = first + threadIdx.x / SIDE + i * SIDE;
      if (threadIdx.x % SIDE == 0 && row < rows) lse[row] = most[i] + logf(sum[i]);
    }
  }
};

// A thread's share of sums of rows b_j, each times a weight of (i, j): rows y, y + 16 and columns x, x + 16
// of each chunk of d, from `depth` on.
struct WeightedRows {
  u32 depth;
  float sum[CHUNKS][2][2] = {};

  // The weights of the tile's rows and of b's rows `col` .. + 64 are in g_tile, written by all threads.
  DEVICE void add(const float* g_tile, float* b_tile, const UnitRows& b, u32 col) {
    const u32 x = threadIdx.x % SIDE, y = threadIdx.x / SIDE;
#pragma unroll
    for (u32 chunk = 0; chunk < CHUNKS; chunk++) {
      if (depth + chunk * TILE_DEPTH >= b.d) break;  // the whole block leaves
      load_tile(b_tile, TILE_COLS, b, col, depth + chunk * TILE_DEPTH);
      __syncthreads();
      for (u32 j = 0; j < TILE_COLS; j++) {
#pragma unroll
        for (u32 i = 0; i < 2; i++) {
          const float g = g_tile[(y + i * SIDE) * WEIGHT_PITCH + j];
#pragma unroll
          for (u32 k = 0; k < 2; k++) sum[chunk][i][k] += g * b_tile[j * PITCH + x + k * SIDE];
        }
      }
      __syncthreads();  // b_tile, and at last g_tile, are written anew
    }
  }
  // sums (rows, d): rows `first` .. + 32.
  DEVICE void store(float* sums, u32 first, u32 rows, u32 d) const {
#pragma unroll
    for (u32 i = 0; i < 2; i++) {
      const u32 row = first + threadIdx.x / SIDE + i * SIDE;
      if (row >= rows) continue;
#pragma unroll
      for (u32 chunk = 0; chunk < CHUNKS; chunk++) {
#pragma unroll
        for (u32 k = 0; k < 2; k++) {
          const u32 column = depth + chunk * TILE_DEPTH + threadIdx.x % SIDE + k * SIDE;
          if (column < d) sums[u64(row) * d + column] = sum[chunk][i][k];
        }
      }
    }
  }
};
