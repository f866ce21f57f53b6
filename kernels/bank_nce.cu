// bank_nce: tells v from the rows of a memory bank that are not its image's.
//
// s_k = cos(v, m_k): column 0 is the row of v's own image, columns 1.. those of its negatives. Rows are
// gathered where they lie, forward and again backward, and only the scores s are kept: 4 bytes of each row's
// 4 d, against which a second gather for forward's sake would be all of them.
#include "pack.cuh"

constexpr u32 WARPS = 8;
constexpr u32 TOGETHER = 8;  // bank rows that a warp has under way: they come from anywhere in memory
constexpr float EPSILON = 1.1920929e-7f;  // of f32; as VISSL adds it

// The bank's row in a column of scores: v's own image's first, then its negatives'.
template <typename Params>
DEVICE u32 candidate(const Params& p, u32 row, u32 column) {
  return column == 0 ? p.positives[row] : p.negatives[u64(row) * (p.columns - 1) + column - 1];
}

// The sum over the warp of each of 8 values; a lane has that of value lane / 4.
DEVICE float warp_sums(float (&v)[8]) {
  const u32 lane = threadIdx.x % WARP;
#pragma unroll
  for (u32 n = 4; n > 0; n /= 2)  // of 2 n values, lanes keep n and send n to their opposites
#pragma unroll
    for (u32 i = 0; i < n; ++i) {
      const bool upper = lane & 4 * n;
      v[i] = (upper ? v[i + n] : v[i]) + __shfl_xor_sync(ALL_LANES, upper ? v[i] : v[i + n], 4 * n);
    }
  v[0] += __shfl_xor_sync(ALL_LANES, v[0], 2);
  return v[0] + __shfl_xor_sync(ALL_LANES, v[0], 1);
}

// v (rows, d) real; bank (images, d) f32, rows of length 1; positives (rows), negatives (rows, columns - 1)
// u32, rows of the bank; inv_norm (rows) = 1 / max(|v|, 1e-12); scores (rows, columns). A block: `range`
// columns of one row; a warp: 8 of them at a time, each lane a part of d.
struct BankNceScores {
  const real* v; const float* bank; const u32* positives; const u32* negatives; float* inv_norm;
  float* scores; u32 rows, columns, images, d, range;
};

// Scores of a block's columns, `d` a multiple of N.
template <u32 N>
DEVICE void score(const BankNceScores& p, const real* v, float inv_norm) {
  const u32 row = blockIdx.y, lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
  const u32 begin = blockIdx.x * p.range, end = min(begin + p.range, p.columns);
  for (u32 first = begin + warp * TOGETHER; first < end; first += WARPS * TOGETHER) {
    // Past the end, the last again.
    const u32 image = candidate(p, row, min(first + lane % TOGETHER, end - 1));
    const float* m[TOGETHER];
    float sum[TOGETHER] = {};
#pragma unroll
    for (u32 i = 0; i < TOGETHER; ++i) m[i] = p.bank + u64(__shfl_sync(ALL_LANES, image, i)) * p.d;
    for (u32 c = lane * N; c < p.d; c += WARP * N) {
      Pack<float, N> loaded[TOGETHER];
#pragma unroll
      for (u32 i = 0; i < TOGETHER; ++i) loaded[i] = load_pack<N>(m[i] + c);
      const Pack<real, N> part = load_pack<N>(v + c);
#pragma unroll
      for (u32 i = 0; i < TOGETHER; ++i)
#pragma unroll
        for (u32 k = 0; k < N; ++k) sum[i] += to_float(part.at[k]) * loaded[i].at[k];
    }
    const float dot = warp_sums(sum);
    const u32 column = first + lane / 4;
    if (lane % 4 == 0 && column < end) p.scores[u64(row) * p.columns + column] = dot * inv_norm;
  }
}

KERNEL_BOUNDS(bank_nce_scores, BankNceScores, RESIDENT(WARPS * WARP, 3)) {
  const real* v = p.v + u64(blockIdx.y) * p.d;
  float sum = 0.0f;
  for (u32 c = threadIdx.x; c < p.d; c += blockDim.x) {
    const float part = to_float(v[c]);
    sum += part * part;
  }
  const float inv_norm = 1.0f / fmaxf(sqrtf(block_sum(sum)), 1e-12f);
  if (blockIdx.x == 0 && threadIdx.x == 0) p.inv_norm[blockIdx.y] = inv_norm;
  if (p.d % 4 == 0 && is_aligned(p.v, p.bank)) score<4>(p, v, inv_norm);
  else score<1>(p, v, inv_norm);
}

// Z = images mean(exp(s / temperature)) over scores (n), where constant (1) is still 0. One block: it has
// something to do once in a training.
struct BankNceConstant { const float* scores; float* constant; u64 n; u32 images; float temperature; };

KERNEL(bank_nce_constant, BankNceConstant) {
  if (*p.constant != 0.0f) return;
  float sum = 0.0f;
  for (u64 i = threadIdx.x; i < p.n; i += blockDim.x) sum += expf(p.scores[i] / p.temperature);
  sum = block_sum(sum);  // and behind its barrier all have read the constant
  if (threadIdx.x == 0) *p.constant = float(p.images) * (sum / float(p.n));
}

// With x_k = exp(s_k / temperature) / Z and noise c = negatives / images:
// losses (rows) = -ln(x_0 / (x_0 + c + epsilon)) - sum over k > 0 of ln(c / (x_k + c + epsilon)).
// scores (rows, columns); constant (1) = Z. One block a row. Most x are tiny beside c: hence log1p.
struct BankNceLoss {
  const float* scores; const float* constant; float* losses; u32 rows, columns; float temperature, noise;
};

KERNEL(bank_nce_loss, BankNceLoss) {
  const float* scores = p.scores + u64(blockIdx.x) * p.columns;
  const float log_constant = logf(*p.constant);
  float sum = 0.0f;
  for (u32 k = threadIdx.x; k < p.columns; k += blockDim.x) {
    const float log_x = scores[k] / p.temperature - log_constant, x = expf(log_x);
    if (k == 0) sum += logf(x + p.noise + EPSILON) - log_x;
    else sum += log1pf((x + EPSILON) / p.noise);
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) p.losses[blockIdx.x] = sum;
}

// lse (rows): log of the sum of exp(s / temperature); losses (rows) = lse - s_0 / temperature.
// scores (rows, columns). One block a row, read twice, the second time from L2.
struct BankNceSoftmaxLoss {
  const float* scores; float* lse; float* losses; u32 rows, columns; float temperature;
};

KERNEL(bank_nce_softmax_loss, BankNceSoftmaxLoss) {
  const float* scores = p.scores + u64(blockIdx.x) * p.columns;
  float most = -INFINITY, sum = 0.0f;
  for (u32 k = threadIdx.x; k < p.columns; k += blockDim.x) most = fmaxf(most, scores[k]);
  most = block_max(most);
  for (u32 k = threadIdx.x; k < p.columns; k += blockDim.x) sum += expf((scores[k] - most) / p.temperature);
  const float lse = most / p.temperature + logf(block_sum(sum));
  if (threadIdx.x > 0) return;
  p.lse[blockIdx.x] = lse;
  p.losses[blockIdx.x] = lse - scores[0] / p.temperature;
}

// sums (splits, rows, d): over a range of columns, of g_k m_k, with g_k = h_k - (1 where k is 0) the
// derivative of a row's loss by s_k / temperature, and h_k the probability that k is v's own: softmax with lse
// (rows); with constant (1), where lse is null, x_k / (x_k + c + epsilon).
// bank (images, d); positives (rows), negatives (rows, columns - 1); scores (rows, columns). A block: one
// range of one row, and of d what a warp's lanes have in one pack; its warps' sums are added in their order.
struct BankNceBackward {
  const float* bank; const u32* positives; const u32* negatives; const float* scores; const float* lse;
  const float* constant; float* sums; u32 rows, columns, images, d, range; float temperature, noise;
};

DEVICE float derivative(const BankNceBackward& p, u32 row, u32 column) {
  const float s = p.scores[u64(row) * p.columns + column] / p.temperature;
  const float x = expf(s - (p.lse == nullptr ? logf(*p.constant) : p.lse[row]));
  const float own = p.lse == nullptr ? x / (x + p.noise + EPSILON) : x;
  return column == 0 ? own - 1.0f : own;
}

template <u32 N>
DEVICE void gather(const BankNceBackward& p, float* shared) {
  const u32 row = blockIdx.y, lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
  const u32 begin = blockIdx.x * p.range, end = min(begin + p.range, p.columns);
  const u32 depth = blockIdx.z * WARP * N, c = depth + lane * N;
  Pack<float, N> sum = {};
  for (u32 first = begin + warp * TOGETHER; first < end; first += WARPS * TOGETHER) {
    const u32 column = first + lane % TOGETHER;
    const u32 image = candidate(p, row, min(column, end - 1));
    const float g = column < end ? derivative(p, row, column) : 0.0f;
    Pack<float, N> loaded[TOGETHER] = {};
#pragma unroll
    for (u32 i = 0; i < TOGETHER; ++i) {
      const float* m = p.bank + u64(__shfl_sync(ALL_LANES, image, i)) * p.d;
      if (c < p.d) loaded[i] = load_pack<N>(m + c);
    }
#pragma unroll
    for (u32 i = 0; i < TOGETHER; ++i) {
      const float weight = __shfl_sync(ALL_LANES, g, i);
#pragma unroll
      for (u32 k = 0; k < N; ++k) sum.at[k] += weight * loaded[i].at[k];
    }
  }
  store_pack(shared + threadIdx.x * N, sum);
  __syncthreads();
  const u32 t = threadIdx.x;
  if (t >= WARP * N || depth + t >= p.d) return;
  float total = 0.0f;
  for (u32 w = 0; w < WARPS; ++w) total += shared[w * WARP * N + t];
  p.sums[(u64(blockIdx.x) * p.rows + row) * p.d + depth + t] = total;
}

KERNEL_BOUNDS(bank_nce_backward, BankNceBackward, WARPS * WARP) {
  SHARED_ARRAY_ALIGNED(float, shared, WARPS * WARP * 4, 16);
  if (p.d % 4 == 0 && is_aligned(p.bank)) gather<4>(p, shared);
  else gather<1>(p, shared);
}
