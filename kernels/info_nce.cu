// info_nce: the mean over rows i of -log softmax([cos(q_i, k_i), cos(q_i, m_0), cos(q_i, m_1), ..] /
// temperature) at the first: k_i is the positive of q_i, the rows m negatives of all of them. Similarities are
// made tile by tile, twice, and never stored.
#include "contrast.cuh"

// q, k (rows, d) real; q_inv_norm, k_inv_norm (rows) = 1 / max(|.|, 1e-12); positive (rows) = cos(q_i, k_i) /
// temperature. A warp owns a row.
struct InfoNcePositive {
  const real* q; const real* k; float* q_inv_norm; float* k_inv_norm; float* positive; u32 rows, d; float temperature;
};

KERNEL(info_nce_positive, InfoNcePositive) {
  const u32 row = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP, lane = threadIdx.x % WARP;
  if (row >= p.rows) return;  // the whole warp
  float qq = 0.0f, kk = 0.0f, qk = 0.0f;
  for (u32 c = lane; c < p.d; c += WARP) {
    const float q = to_float(p.q[u64(row) * p.d + c]), k = to_float(p.k[u64(row) * p.d + c]);
    qq += q * q, kk += k * k, qk += q * k;
  }
  const float q_inv_norm = 1.0f / fmaxf(sqrtf(warp_sum(qq)), 1e-12f);
  const float k_inv_norm = 1.0f / fmaxf(sqrtf(warp_sum(kk)), 1e-12f);
  qk = warp_sum(qk);
  if (lane > 0) return;
  p.q_inv_norm[row] = q_inv_norm;
  p.k_inv_norm[row] = k_inv_norm;
  p.positive[row] = qk * q_inv_norm * k_inv_norm / p.temperature;
}

// q (rows, d), inv_norm (rows), negatives (count, d) real, of length 1; lse (splits, rows): log of the sum of
// exp(s_ij) over a range of `range` negatives, a multiple of 64. s = cosine / temperature. A block owns 32 rows
// and walks one range; each thread keeps a running maximum and sum for its share of it, and 16 lanes
// merge at the end.
struct InfoNceForward {
  const real* q; const float* inv_norm; const real* negatives; float* lse; u32 rows, count, d, splits, range;
  float temperature;
};

KERNEL_BOUNDS(info_nce_forward, InfoNceForward, RESIDENT(SIDE * SIDE, BLOCKS_HELD)) {
  SHARED_ARRAY(float, a_tile, TILE_ROWS * PITCH);
  SHARED_ARRAY(float, b_tile, TILE_COLS * PITCH);
  const u32 first = blockIdx.x * TILE_ROWS;
  const UnitRows queries = {p.q, p.inv_norm, p.rows, p.d}, negatives = {p.negatives, nullptr, p.count, p.d};
  const u32 begin = blockIdx.y * p.range, end = min(begin + p.range, p.count);
  RowSums sums;
  for (u32 col = begin; col < end; col += TILE_COLS) {
    float cosine[2][4];
    cosines(cosine, a_tile, b_tile, queries, first, negatives, col);
    for_each_cosine(cosine, [&](u32 i, u32, u32 column, float cosine) {
      if (col + column < p.count) sums.add(i, cosine / p.temperature);
    });
  }
  sums.store(p.lse + u64(blockIdx.y) * p.rows, first, p.rows);
}

// parts (splits, rows), positive (rows); lse (rows): the parts of each row and its positive as one; loss (1) =
// mean of lse - positive. One block: the order of the sum is a matter of rows.
struct InfoNceLoss { const float* parts; const float* positive; float* lse; float* loss; u32 rows, splits; };

KERNEL(info_nce_loss, InfoNceLoss) {
  float total = 0.0f;
  for (u32 i = threadIdx.x; i < p.rows; i += blockDim.x) {
    const float positive = p.positive[i];
    float most = positive, sum = 1.0f;
    for (u32 split = 0; split < p.splits; split++) add_exponentials(most, sum, p.parts[u64(split) * p.rows + i], 1.0f);
    const float lse = most + logf(sum);
    p.lse[i] = lse;
    total += lse - positive;
  }
  total = block_sum(total);
  if (threadIdx.x == 0) p.loss[0] = total / float(p.rows);
}

// q, inv_norm, negatives, lse as above, lse (rows); sums (splits, rows, d) f32: sum over the negatives m_j of a
// range of P_ij m_j, P = exp(s - lse). A block owns 32 rows x 128 of d, so that its sums stay in
// registers; d above 128 makes the similarities once for each 128.
struct InfoNceBackward {
  const real* q; const float* inv_norm; const real* negatives; const float* lse; float* sums;
  u32 rows, count, d, splits, range; float temperature;
};

KERNEL_BOUNDS(info_nce_backward, InfoNceBackward, RESIDENT(SIDE * SIDE, BLOCKS_HELD)) {
  SHARED_ARRAY(float, a_tile, TILE_ROWS * PITCH);
  SHARED_ARRAY(float, b_tile, TILE_COLS * PITCH);
  SHARED_ARRAY(float, g_tile, TILE_ROWS * WEIGHT_PITCH);
  const u32 first = blockIdx.x * TILE_ROWS;
  const UnitRows queries = {p.q, p.inv_norm, p.rows, p.d}, negatives = {p.negatives, nullptr, p.count, p.d};
  const u32 begin = blockIdx.y * p.range, end = min(begin + p.range, p.count);
  WeightedRows sums = {blockIdx.z * CHUNKS * TILE_DEPTH};
  for (u32 col = begin; col < end; col += TILE_COLS) {
    float cosine[2][4];
    cosines(cosine, a_tile, b_tile, queries, first, negatives, col);
    for_each_cosine(cosine, [&](u32, u32 y, u32 x, float cosine) {
      const bool inside = first + y < p.rows && col + x < p.count;
      g_tile[y * WEIGHT_PITCH + x] = inside ? expf(cosine / p.temperature - p.lse[first + y]) : 0.0f;
    });
    sums.add(g_tile, b_tile, negatives, col);
  }
  sums.store(p.sums + u64(blockIdx.y) * p.rows * p.d, first, p.rows, p.d);
}

// With qhat = q / |q|, khat = k / |k| and P_i = exp(positive_i - lse_i): dqhat_i = dy / (rows temperature)
// (sums_i + (P_i - 1) khat_i), sums added over splits in their order; dq_i = (dqhat_i - qhat_i <qhat_i, dqhat_i>)
// / |q_i|: what is along q_i cannot change qhat_i.
// q, k, dq (rows, d) real; the norms, positive, lse (rows); sums (splits, rows, d) f32, of which the first
// becomes the whole; dy (1). A block owns a row.
struct InfoNceQueryGradient {
  const real* q; const real* k; const float* q_inv_norm; const float* k_inv_norm; const float* positive;
  const float* lse; float* sums; const float* dy; real* dq; u32 rows, d, splits; float temperature;
};

KERNEL(info_nce_query_gradient, InfoNceQueryGradient) {
  const u32 row = blockIdx.x;
  const real* q = p.q + u64(row) * p.d;
  const real* k = p.k + u64(row) * p.d;
  const u64 apart = u64(p.rows) * p.d;  // from one split to the next
  float* sums = p.sums + u64(row) * p.d;
  const float weight = (expf(p.positive[row] - p.lse[row]) - 1.0f) * p.k_inv_norm[row];
  const float inv_norm = p.q_inv_norm[row];
  float along = 0.0f;
  for (u32 c = threadIdx.x; c < p.d; c += blockDim.x) {
    float sum = 0.0f;
#pragma unroll 8
    for (u32 split = 0; split < p.splits; split++) sum += sums[split * apart + c];
    sum += weight * to_float(k[c]);
    sums[c] = sum;
    along += to_float(q[c]) * inv_norm * sum;
  }
  along = block_sum(along);
  const float scale = p.dy[0] / (float(p.rows) * p.temperature) * inv_norm;
  for (u32 c = threadIdx.x; c < p.d; c += blockDim.x)
    p.dq[u64(row) * p.d + c] = to_real(scale * (sums[c] - to_float(q[c]) * inv_norm * along));
}

// dkhat_i = dy / (rows temperature) (P_i - 1) qhat_i; dk_i = (dkhat_i - khat_i <khat_i, dkhat_i>) / |k_i|, where
// <khat_i, qhat_i> is known.
// q, k, dk (rows, d) real; the norms, positive, lse (rows); dy (1). A warp owns a row.
struct InfoNceKeyGradient {
  const real* q; const real* k; const float* q_inv_norm; const float* k_inv_norm; const float* positive;
  const float* lse; const float* dy; real* dk; u32 rows, d; float temperature;
};

KERNEL(info_nce_key_gradient, InfoNceKeyGradient) {
  const u32 row = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
  if (row >= p.rows) return;
  const float q_inv_norm = p.q_inv_norm[row], k_inv_norm = p.k_inv_norm[row], positive = p.positive[row];
  const float weight = (expf(positive - p.lse[row]) - 1.0f) * k_inv_norm;
  const float scale = p.dy[0] / (float(p.rows) * p.temperature) * weight;
  const float along = positive * p.temperature * k_inv_norm;
  for (u32 c = threadIdx.x % WARP; c < p.d; c += WARP) {
    const u64 at = u64(row) * p.d + c;
    p.dk[at] = to_real(scale * (to_float(p.q[at]) * q_inv_norm - to_float(p.k[at]) * along));
  }
}

#ifdef REAL_BF16
#include "info_nce_mma.cuh"

// Named by the d they have room for. Backward has a row's sums in registers: at 256, a warp has half as many.
KERNEL_BF16(info_nce_forward_d64, InfoNceForward, MMA_THREADS) { forward_tile<2, 1>(p); }
KERNEL_BF16(info_nce_forward_d128, InfoNceForward, MMA_THREADS) { forward_tile<2, 2>(p); }
KERNEL_BF16(info_nce_forward_d256, InfoNceForward, MMA_THREADS) { forward_tile<1, 4>(p); }
KERNEL_BF16(info_nce_backward_d64, InfoNceBackward, MMA_THREADS) { backward_tile<2, 1>(p); }
KERNEL_BF16(info_nce_backward_d128, InfoNceBackward, MMA_THREADS) { backward_tile<2, 2>(p); }
KERNEL_BF16(info_nce_backward_d256, InfoNceBackward, MMA_THREADS) { backward_tile<1, 4>(p); }
#endif
