// nt_xent: SimCLR's loss. Rows i and i + n of z are views of one image; the mean over all 2n rows of
// -log softmax over the other rows of cos(z_i, z_j) / temperature, at the positive. The (2n, 2n)
// matrix of similarities is made tile by tile, twice, and never stored.
#include "contrast.cuh"

// z (rows, d); inv_norm (rows) = 1 / max(|z_i|, 1e-12). One block a row.
struct NtXentNorms { const real* z; float* inv_norm; u32 rows, d; };

KERNEL(nt_xent_norms, NtXentNorms) {
  const real* z = p.z + u64(blockIdx.x) * p.d;
  float sum = 0.0f;
  for (u32 k = threadIdx.x; k < p.d; k += blockDim.x) sum += to_float(z[k]) * to_float(z[k]);
  sum = block_sum(sum);
  if (threadIdx.x == 0) p.inv_norm[blockIdx.x] = 1.0f / fmaxf(sqrtf(sum), 1e-12f);
}

// The row that shows the same image.
DEVICE u32 other_view(u32 row, u32 rows) { return row < rows / 2 ? row + rows / 2 : row - rows / 2; }

// z (rows, d), inv_norm (rows); lse (splits, rows): log of the sum of exp(s_ij) over the j != i of a range
// of `range` columns, a multiple of 64, -INFINITY where there are none; positive (rows): s of row i and its
// other view. s = cosine / temperature. A block owns 32 rows and walks one range; each thread keeps a
// running maximum and sum for its share of it, and 16 lanes merge at the end.
struct NtXentForward {
  const real* z; const float* inv_norm; float* lse; float* positive; u32 rows, d, splits, range; float temperature;
};

KERNEL_BOUNDS(nt_xent_forward, NtXentForward, RESIDENT(SIDE * SIDE, BLOCKS_HELD)) {
  SHARED_ARRAY(float, a_tile, TILE_ROWS * PITCH);
  SHARED_ARRAY(float, b_tile, TILE_COLS * PITCH);
  const u32 first = blockIdx.x * TILE_ROWS;
  const UnitRows zhat = {p.z, p.inv_norm, p.rows, p.d};
  const u32 begin = blockIdx.y * p.range, end = min(begin + p.range, p.rows);
  RowSums sums;
  for (u32 col = begin; col < end; col += TILE_COLS) {
    float cosine[2][4];
    cosines(cosine, a_tile, b_tile, zhat, first, zhat, col);
    for_each_cosine(cosine, [&](u32 i, u32 row, u32 column, float cosine) {
      row += first, column += col;
      if (column >= p.rows || row >= p.rows || column == row) return;
      const float s = cosine / p.temperature;
      if (column == other_view(row, p.rows)) p.positive[row] = s;
      sums.add(i, s);
    });
  }
  sums.store(p.lse + u64(blockIdx.y) * p.rows, first, p.rows);
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

KERNEL_BOUNDS(nt_xent_backward, NtXentBackward, RESIDENT(SIDE * SIDE, BLOCKS_HELD)) {
  SHARED_ARRAY(float, a_tile, TILE_ROWS * PITCH);
  SHARED_ARRAY(float, b_tile, TILE_COLS * PITCH);
  SHARED_ARRAY(float, g_tile, TILE_ROWS * WEIGHT_PITCH);
  const u32 first = blockIdx.x * TILE_ROWS;
  const u32 begin = blockIdx.y * p.range, end = min(begin + p.range, p.rows);
  const UnitRows zhat = {p.z, p.inv_norm, p.rows, p.d};
  WeightedRows sums = {blockIdx.z * CHUNKS * TILE_DEPTH};
  for (u32 col = begin; col < end; col += TILE_COLS) {
    float cosine[2][4];
    cosines(cosine, a_tile, b_tile, zhat, first, zhat, col);
    for_each_cosine(cosine, [&](u32, u32 y, u32 x, float cosine) {
      const u32 row = first + y, column = col + x;
      float g = 0.0f;
      if (row < p.rows && column < p.rows && column != row) {
        const float s = cosine / p.temperature;
        const float positive = column == other_view(row, p.rows) ? 2.0f : 0.0f;
        g = expf(s - p.lse[row]) + expf(s - p.lse[column]) - positive;
      }
      g_tile[y * WEIGHT_PITCH + x] = g;
    });
    sums.add(g_tile, b_tile, zhat, col);
  }
  sums.store(p.sums + u64(blockIdx.y) * p.rows * p.d, first, p.rows, p.d);
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
