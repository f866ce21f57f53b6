// nt_xent: SimCLR's loss. Rows i and i + n of z are views of one image; the mean over all 2n rows of
// -log softmax over the other rows of cos(z_i, z_j) / temperature, at the positive. The (2n, 2n)
// matrix of similarities is made tile by tile, twice, and never stored.
#include "common.cuh"

constexpr u32 TILE_ROWS = 32;    // rows a block owns
constexpr u32 TILE_COLS = 64;    // columns of similarities it makes at a time
constexpr u32 TILE_DEPTH = 32;   // of d, in shared memory at a time
constexpr u32 PITCH = TILE_DEPTH + 1;  // + 1: 16 lanes reading one column hit 16 banks
constexpr u32 SIDE = 16;         // 256 threads as 16 x 16: each makes 2 rows x 4 columns
constexpr u32 CHUNKS = 4;        // of TILE_DEPTH, of the gradient a block writes: see `grid`

// z (rows, d); inv_norm (rows) = 1 / max(|z_i|, 1e-12). One block a row.
struct NtXentNorms { const real* z; float* inv_norm; u32 rows, d; };

KERNEL(nt_xent_norms, NtXentNorms) {
  const real* z = p.z + u64(blockIdx.x) * p.d;
  float sum = 0.0f;
  for (u32 k = threadIdx.x; k < p.d; k += blockDim.x) sum += to_float(z[k]) * to_float(z[k]);
  sum = block_sum(sum);
  if (threadIdx.x == 0) p.inv_norm[blockIdx.x] = 1.0f / fmaxf(sqrtf(sum), 1e-12f);
}

// zhat, the normalised z (rows, d), as it is stored.
struct Normalised { const real* z; const float* inv_norm; u32 rows, d; };

// Rows `first` .. `first + n` and columns `depth` .. `depth + TILE_DEPTH` of zhat; zero outside.
DEVICE void load_tile(float* tile, u32 n, const Normalised& zhat, u32 first, u32 depth) {
  for (u32 i = threadIdx.x; i < n * TILE_DEPTH; i += SIDE * SIDE) {
    const u32 row = first + i / TILE_DEPTH, k = depth + i % TILE_DEPTH;
    const bool inside = row < zhat.rows && k < zhat.d;
    tile[i / TILE_DEPTH * PITCH + i % TILE_DEPTH] =
        inside ? to_float(zhat.z[u64(row) * zhat.d + k]) * zhat.inv_norm[row] : 0.0f;
  }
}

// This thread's 2 x 4 of the cosines of rows `row` .. + 32 with rows `col` .. + 64: rows y, y + 16 and
// columns x, x + 16, x + 32, x + 48 of the tile.
DEVICE void cosines(float (&cosine)[2][4], float* a_tile, float* b_tile, const Normalised& zhat, u32 row,
                    u32 col) {
  const u32 x = threadIdx.x % SIDE, y = threadIdx.x / SIDE;
#pragma unroll
  for (u32 i = 0; i < 2; i++)
#pragma unroll
    for (u32 j = 0; j < 4; j++) cosine[i][j] = 0.0f;
  for (u32 depth = 0; depth < zhat.d; depth += TILE_DEPTH) {
    load_tile(a_tile, TILE_ROWS, zhat, row, depth);
    load_tile(b_tile, TILE_COLS, zhat, col, depth);
    __syncthreads();
    for (u32 k = 0; k < TILE_DEPTH; k++) {
      float b[4];
#pragma unroll
      for (u32 j = 0; j < 4; j++) b[j] = b_tile[(x + j * SIDE) * PITCH + k];
#pragma unroll
      for (u32 i = 0; i < 2; i++) {
        const float a = a_tile[(y + i * SIDE) * PITCH + k];
#pragma unroll
        for (u32 j = 0; j < 4; j++) cosine[i][j] += a * b[j];
      }
    }
    __syncthreads();  // the tiles are loaded anew
  }
}

// The sum of exponentials `sum` relative to `most`, with another such sum added to it.
DEVICE void add_exponentials(float& most, float& sum, float other_most, float other_sum) {
  const float larger = fmaxf(most, other_most);
  if (larger == -INFINITY) return;  // both are empty
  sum = sum * expf(most - larger) + other_sum * expf(other_most - larger);
  most = larger;
}

// z (rows, d), inv_norm (rows); lse (splits, rows): log of the sum of exp(s_ij) over the j != i of a range
// of `range` columns, a multiple of 64, -INFINITY where there are none; positive (rows): s of row i and its
// other view. s = cosine / temperature. A block owns 32 rows and walks one range; each thread keeps a
// running maximum and sum for its share of it, and 16 lanes merge at the end.
struct NtXentForward {
  const real* z; const float* inv_norm; float* lse; float* positive; u32 rows, d, splits, range; float temperature;
};

KERNEL_BOUNDS(nt_xent_forward, NtXentForward, 256) {
  SHARED_ARRAY(float, a_tile, TILE_ROWS * PITCH);
  SHARED_ARRAY(float, b_tile, TILE_COLS * PITCH);
  const u32 x = threadIdx.x % SIDE, y = threadIdx.x / SIDE;
  const u32 first = blockIdx.x * TILE_ROWS;
  const Normalised zhat = {p.z, p.inv_norm, p.rows, p.d};
  const u32 begin = blockIdx.y * p.range, end = min(begin + p.range, p.rows);
  float most[2] = {-INFINITY, -INFINITY}, sum[2] = {0.0f, 0.0f};
  for (u32 col = begin; col < end; col += TILE_COLS) {
    float cosine[2][4];
    cosines(cosine, a_tile, b_tile, zhat, first, col);
#pragma unroll
    for (u32 i = 0; i < 2; i++) {
      const u32 row = first + y + i * SIDE;
      const u32 other = row < p.rows / 2 ? row + p.rows / 2 : row - p.rows / 2;
#pragma unroll
      for (u32 j = 0; j < 4; j++) {
        const u32 column = col + x + j * SIDE;
        if (column >= p.rows || row >= p.rows || column == row) continue;
        const float s = cosine[i][j] / p.temperature;
        if (column == other) p.positive[row] = s;
        add_exponentials(most[i], sum[i], s, 1.0f);
      }
    }
  }
#pragma unroll
  for (u32 i = 0; i < 2; i++) {
    for (u32 step = SIDE / 2; step > 0; step /= 2) {
      const float other_most = __shfl_xor_sync(ALL_LANES, most[i], step);
      const float other_sum = __shfl_xor_sync(ALL_LANES, sum[i], step);
      add_exponentials(most[i], sum[i], other_most, other_sum);
    }
    const u32 row = first + y + i * SIDE;
    if (x == 0 && row < p.rows) p.lse[u64(blockIdx.y) * p.rows + row] = most[i] + logf(sum[i]);
  }
}

// parts (splits, rows), positive, inv_norm (rows); lse (rows): the parts of each row as one; weight (rows) =
// exp(1 / temperature - lse) inv_norm, which backward on tensor cores asks for (nt_xent_mma.cuh); loss (1) =
// mean of lse - positive. One block: the order of the sum is a matter of rows.
struct NtXentLoss {
  const float* parts; const float* positive; const float* inv_norm; float* lse; float* weight; float* loss;
  u32 rows, splits; float temperature;
};

KERNEL(nt_xent_loss, NtXentLoss) {
  float total = 0.0f;
  for (u32 i = threadIdx.x; i < p.rows; i += blockDim.x) {
    float most = -INFINITY, sum = 0.0f;
    for (u32 split = 0; split < p.splits; split++) add_exponentials(most, sum, p.parts[u64(split) * p.rows + i], 1.0f);
    const float lse = most + logf(sum);
    p.lse[i] = lse;
    p.weight[i] = expf(1.0f / p.temperature - lse) * p.inv_norm[i];
    total += lse - p.positive[i];
  }
  total = block_sum(total);
  if (threadIdx.x == 0) p.loss[0] = total / float(p.rows);
}

// With P_ij = exp(s_ij - lse_i), P_ii = 0 and Y the positives, G = P + P' - Y - Y' and zhat = z / |z|.
// z (rows, d); inv_norm, lse, weight (rows); sums (splits, rows, d) f32: sum over the j of a range, as in
// forward, of G_ij zhat_j. A block owns 32 rows x 128 of d, so that its sums stay in registers; d above 128
// makes the similarities once for each 128.
struct NtXentBackward {
  const real* z; const float* inv_norm; const float* lse; const float* weight; float* sums;
  u32 rows, d, splits, range; float temperature;
};

// This thread's 2 x 4 of G, from its cosines.
DEVICE void weights(float* g_tile, const float (&cosine)[2][4], const NtXentBackward& p, u32 first, u32 col) {
  const u32 x = threadIdx.x % SIDE, y = threadIdx.x / SIDE;
#pragma unroll
  for (u32 i = 0; i < 2; i++) {
    const u32 row = first + y + i * SIDE;
    const u32 other = row < p.rows / 2 ? row + p.rows / 2 : row - p.rows / 2;
#pragma unroll
    for (u32 j = 0; j < 4; j++) {
      const u32 column = col + x + j * SIDE;
      float g = 0.0f;
      if (row < p.rows && column < p.rows && column != row) {
        const float s = cosine[i][j] / p.temperature;
        g = expf(s - p.lse[row]) + expf(s - p.lse[column]) - (column == other ? 2.0f : 0.0f);
      }
      g_tile[(y + i * SIDE) * (TILE_COLS + 1) + x + j * SIDE] = g;
    }
  }
}

KERNEL_BOUNDS(nt_xent_backward, NtXentBackward, 256) {
  SHARED_ARRAY(float, a_tile, TILE_ROWS * PITCH);
  SHARED_ARRAY(float, b_tile, TILE_COLS * PITCH);
  SHARED_ARRAY(float, g_tile, TILE_ROWS * (TILE_COLS + 1));
  const u32 x = threadIdx.x % SIDE, y = threadIdx.x / SIDE;
  const u32 first = blockIdx.x * TILE_ROWS, depth = blockIdx.z * CHUNKS * TILE_DEPTH;
  const u32 begin = blockIdx.y * p.range, end = min(begin + p.range, p.rows);
  const Normalised zhat = {p.z, p.inv_norm, p.rows, p.d};
  float sum[CHUNKS][2][2] = {};  // rows y, y + 16 and columns x, x + 16 of each chunk
  for (u32 col = begin; col < end; col += TILE_COLS) {
    float cosine[2][4];
    cosines(cosine, a_tile, b_tile, zhat, first, col);
    weights(g_tile, cosine, p, first, col);
#pragma unroll
    for (u32 chunk = 0; chunk < CHUNKS; chunk++) {
      if (depth + chunk * TILE_DEPTH >= p.d) break;  // the whole block leaves
      load_tile(b_tile, TILE_COLS, zhat, col, depth + chunk * TILE_DEPTH);
      __syncthreads();
      for (u32 j = 0; j < TILE_COLS; j++) {
#pragma unroll
        for (u32 i = 0; i < 2; i++) {
          const float g = g_tile[(y + i * SIDE) * (TILE_COLS + 1) + j];
#pragma unroll
          for (u32 k = 0; k < 2; k++) sum[chunk][i][k] += g * b_tile[j * PITCH + x + k * SIDE];
        }
      }
      __syncthreads();  // b_tile, and at last g_tile, are written anew
    }
  }
#pragma unroll
  for (u32 i = 0; i < 2; i++) {
    const u32 row = first + y + i * SIDE;
    if (row >= p.rows) continue;
#pragma unroll
    for (u32 chunk = 0; chunk < CHUNKS; chunk++) {
#pragma unroll
      for (u32 k = 0; k < 2; k++) {
        const u32 column = depth + chunk * TILE_DEPTH + x + k * SIDE;
        if (column < p.d) p.sums[(u64(blockIdx.y) * p.rows + row) * p.d + column] = sum[chunk][i][k];
      }
    }
  }
}

// dzhat_i = dy / (rows temperature) sums_i, added over splits in their order; dz_i = (dzhat_i - zhat_i
// <zhat_i, dzhat_i>) / |z_i|: what is along z_i cannot change zhat_i.
// z, dz (rows, d); inv_norm (rows); sums (splits, rows, d) f32; dy (1). A warp owns a row, and reads its
// sums twice, the second time from the cache.
struct NtXentGradient {
  const real* z; const float* inv_norm; const float* sums; const float* dy; real* dz;
  u32 rows, d, splits; float temperature;
};

KERNEL(nt_xent_gradient, NtXentGradient) {
  const u32 row = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP, lane = threadIdx.x % WARP;
  if (row >= p.rows) return;  // the whole warp
  const real* z = p.z + u64(row) * p.d;
  const float inv_norm = p.inv_norm[row];
  auto sum = [&](u32 c) {
    float sum = 0.0f;
    for (u32 split = 0; split < p.splits; split++) sum += p.sums[(u64(split) * p.rows + row) * p.d + c];
    return sum;
  };
  float along = 0.0f;
  for (u32 c = lane; c < p.d; c += WARP) along += to_float(z[c]) * inv_norm * sum(c);
  along = warp_sum(along);
  const float scale = p.dy[0] / (float(p.rows) * p.temperature) * inv_norm;
  for (u32 c = lane; c < p.d; c += WARP)
    p.dz[u64(row) * p.d + c] = to_real(scale * (sum(c) - to_float(z[c]) * inv_norm * along));
}

#ifdef REAL_BF16
#include "nt_xent_mma.cuh"

// Named by the d they have room for. Backward has a row's sums in registers: at 256, a warp has half as many.
KERNEL_BF16(nt_xent_forward_d64, NtXentForward, MMA_THREADS) { forward_tile<2, 1>(p); }
KERNEL_BF16(nt_xent_forward_d128, NtXentForward, MMA_THREADS) { forward_tile<2, 2>(p); }
KERNEL_BF16(nt_xent_forward_d256, NtXentForward, MMA_THREADS) { forward_tile<1, 4>(p); }
KERNEL_BF16(nt_xent_backward_d64, NtXentBackward, MMA_THREADS) { backward_tile<2, 1>(p); }
KERNEL_BF16(nt_xent_backward_d128, NtXentBackward, MMA_THREADS) { backward_tile<2, 2>(p); }
KERNEL_BF16(nt_xent_backward_d256, NtXentBackward, MMA_THREADS) { backward_tile<1, 4>(p); }
#endif
