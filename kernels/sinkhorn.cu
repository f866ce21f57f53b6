// sinkhorn: codes q of n samples, whose scores s (n, K) are their cosines with K prototypes, such that all
// prototypes have an equal share of the samples: q_ik = u_k exp(s_ik / epsilon) v_i, u and v such that in turn
// every prototype's and every sample's codes add up to one number. Only log u and log v are ever stored.
#include "exponentials.cuh"

// This thread's share of a row of scores over epsilon, plus log_u where there is one.
DEVICE Pack<float> exponents(const Lane& lane, const real* scores, float inv_epsilon, const float* log_u) {
  const Pack<real> s = lane.load(scores);
  const Pack<float> u = log_u == nullptr ? Pack<float>{} : lane.load(log_u);
  return pack_of([&](u32 i) { return to_float(s.at[i]) * inv_epsilon + u.at[i]; });
}

// scores (n, prototypes) real; log_v (n), or null: all 0; partial (chunks, prototypes): of each chunk of rows
// and each prototype, the log of the sum of exp(s / epsilon + log_v). A thread owns eight prototypes and walks
// its chunk twice, the second time in cache: the largest exponent first.
struct SinkhornPrototypes {
  const real* scores; const float* log_v; float* partial; u32 n, prototypes, chunk_rows; float inv_epsilon;
};

KERNEL(sinkhorn_prototypes, SinkhornPrototypes) {
  const u32 begin = blockIdx.y * p.chunk_rows, end = min(begin + p.chunk_rows, p.n);
  with_lane(blockIdx.x * blockDim.x + threadIdx.x, p.prototypes, [&](const Lane& lane) {
    auto at = [&](u32 row) {
      const float v = p.log_v == nullptr ? 0.0f : p.log_v[row];
      const Pack<float> s = exponents(lane, p.scores + u64(row) * p.prototypes, p.inv_epsilon, nullptr);
      return pack_of([&](u32 i) { return s.at[i] + v; });
    };
    Pack<float> most = at(begin), sum = {};
    for (u32 row = begin + 1; row < end; ++row) {
      const Pack<float> s = at(row);
      most = pack_of([&](u32 i) { return fmaxf(most.at[i], s.at[i]); });
    }
    for (u32 row = begin; row < end; ++row) {
      const Pack<float> s = at(row);
      sum = pack_of([&](u32 i) { return sum.at[i] + expf(s.at[i] - most.at[i]); });
    }
    lane.store(p.partial + u64(blockIdx.y) * p.prototypes, pack_of([&](u32 i) { return most.at[i] + logf(sum.at[i]); }));
  });
}

constexpr u32 COMBINE = 32;  // prototypes a block, and threads that share the chunks of one

// log_u (prototypes) = - log of the sum over chunks of exp(partial): every prototype's sum becomes 1. partial
// (chunks, prototypes). Threads (32, 32): 32 prototypes, the chunks of each by 32 threads, added in order.
struct SinkhornCombine { const float* partial; float* log_u; u32 chunks, prototypes; };

KERNEL(sinkhorn_combine, SinkhornCombine) {
  SHARED_ARRAY(float, most, COMBINE * COMBINE);
  SHARED_ARRAY(float, sum, COMBINE * COMBINE);
  const u32 prototype = blockIdx.x * COMBINE + threadIdx.x, own = threadIdx.y * COMBINE + threadIdx.x;
  Exponentials all;
  if (prototype < p.prototypes)
    for (u32 chunk = threadIdx.y; chunk < p.chunks; chunk += COMBINE)
      all.add(Pack<float, 1>{{p.partial[u64(chunk) * p.prototypes + prototype]}}, 1);
  most[own] = all.most, sum[own] = all.sum;
  __syncthreads();
  if (threadIdx.y != 0 || prototype >= p.prototypes) return;
  for (u32 i = 1; i < COMBINE; ++i) all.most = fmaxf(all.most, most[i * COMBINE + threadIdx.x]);
  all.sum = 0.0f;
  for (u32 i = 0; i < COMBINE; ++i) {
    const Exponentials part = {most[i * COMBINE + threadIdx.x], sum[i * COMBINE + threadIdx.x]};
    all.sum += part.sum * part.scale_to(all.most);
  }
  p.log_u[prototype] = -all.log();
}

// The sum over all prototypes of exp(s / epsilon + log_u), by a block.
DEVICE Exponentials sample_sum(const real* scores, const float* log_u, u32 prototypes, float inv_epsilon) {
  Exponentials own;
  for (u32 pack = threadIdx.x; pack * PACK < prototypes; pack += blockDim.x)
    with_lane(pack, prototypes, [&](const Lane& lane) {
      own.add(exponents(lane, scores, inv_epsilon, log_u), lane.count);
    });
  return block_sum(own);
}

// log_v (n) = - log of the sum over prototypes of exp(s / epsilon + log_u): every sample's sum becomes 1.
// scores (n, prototypes) real; log_u (prototypes). One block a row.
struct SinkhornSamples {
  const real* scores; const float* log_u; float* log_v; u32 n, prototypes; float inv_epsilon;
};

KERNEL(sinkhorn_samples, SinkhornSamples) {
  const real* scores = p.scores + u64(blockIdx.x) * p.prototypes;
  const Exponentials all = sample_sum(scores, p.log_u, p.prototypes, p.inv_epsilon);
  if (threadIdx.x == 0) p.log_v[blockIdx.x] = -all.log();
}

constexpr u32 HELD = 2;          // packs of a row that a thread holds
constexpr u32 ROUND_THREADS = 512;  // at most: 8192 prototypes

// sinkhorn_samples, and sinkhorn_prototypes of what it gives, in one pass that reads a score once and takes one
// exponential of it. scores (n, prototypes) real; log_u (prototypes); partial (chunks, prototypes), as above. A
// block owns a chunk of rows; a thread holds sixteen prototypes of a row, whose next is on its way.
struct SinkhornRound {
  const real* scores; const float* log_u; float* partial; u32 n, prototypes, chunk_rows; float inv_epsilon;
};

KERNEL_BOUNDS(sinkhorn_round, SinkhornRound, ROUND_THREADS) {
  const u32 begin = blockIdx.x * p.chunk_rows, end = min(begin + p.chunk_rows, p.n);
  Lane lanes[HELD];
  Pack<float> log_u[HELD], sums[HELD] = {};
  Pack<real> next[HELD];
#pragma unroll
  for (u32 h = 0; h < HELD; ++h) {
    const u32 first = (threadIdx.x + h * blockDim.x) * PACK;
    const u32 count = first < p.prototypes ? min(p.prototypes - first, PACK) : 0;
    lanes[h] = {first, count, count == PACK && p.prototypes % PACK == 0};
    log_u[h] = lanes[h].load(p.log_u);
    next[h] = lanes[h].load(p.scores + u64(begin) * p.prototypes);
  }
  for (u32 row = begin; row < end; ++row) {
    Pack<float> q[HELD];
    Exponentials own;
#pragma unroll
    for (u32 h = 0; h < HELD; ++h) {
      q[h] = pack_of([&](u32 i) { return to_float(next[h].at[i]) * p.inv_epsilon + log_u[h].at[i]; });
      if (row + 1 < end) next[h] = lanes[h].load(p.scores + u64(row + 1) * p.prototypes);
#pragma unroll
      for (u32 i = 0; i < PACK; ++i)
        if (i < lanes[h].count) own.most = fmaxf(own.most, q[h].at[i]);
    }
#pragma unroll
    for (u32 h = 0; h < HELD; ++h)
#pragma unroll
      for (u32 i = 0; i < PACK; ++i) {
        q[h].at[i] = i < lanes[h].count ? expf(q[h].at[i] - own.most) : 0.0f;
        own.sum += q[h].at[i];
      }
    const Exponentials all = block_sum(own);
    const float scale = own.scale_to(all.most) / all.sum;
#pragma unroll
    for (u32 h = 0; h < HELD; ++h)
#pragma unroll
      for (u32 i = 0; i < PACK; ++i) sums[h].at[i] += q[h].at[i] * scale;
  }
#pragma unroll
  for (u32 h = 0; h < HELD; ++h)  // the sums have log_u in them
    lanes[h].store(p.partial + u64(blockIdx.x) * p.prototypes,
                   pack_of([&](u32 i) { return logf(sums[h].at[i]) - log_u[h].at[i]; }));
}

// codes (rows, prototypes) f32 = softmax over prototypes of s / epsilon + log_u; or, if hard, 1 at the largest of
// them, the first of several, and 0 elsewhere. scores (rows, prototypes) real; log_u (prototypes), or null: all 0.
// One block a row, which is read twice, the second time in cache.
struct SinkhornCodes {
  const real* scores; const float* log_u; float* codes; u32 rows, prototypes, hard; float inv_epsilon;
};

// The first prototype of the largest exponent.
DEVICE u32 sample_argmax(const real* scores, const SinkhornCodes& p) {
  float most = -INFINITY, negated = -INFINITY;  // the largest of negated places is the first place
  for (u32 pack = threadIdx.x; pack * PACK < p.prototypes; pack += blockDim.x)
    with_lane(pack, p.prototypes, [&](const Lane& lane) {
      const Pack<float> s = exponents(lane, scores, p.inv_epsilon, p.log_u);
#pragma unroll
      for (u32 i = 0; i < PACK; ++i)
        if (i < lane.count && s.at[i] > most) most = s.at[i], negated = -float(lane.first + i);
    });
  const float all = block_max(most);
  return u32(-block_max(most == all ? negated : -INFINITY));
}

KERNEL(sinkhorn_codes, SinkhornCodes) {
  const u64 first = u64(blockIdx.x) * p.prototypes;
  const real* scores = p.scores + first;
  u32 best = 0;
  float log_sum = 0.0f;
  if (p.hard) best = sample_argmax(scores, p);
  else log_sum = sample_sum(scores, p.log_u, p.prototypes, p.inv_epsilon).log();
  for (u32 pack = threadIdx.x; pack * PACK < p.prototypes; pack += blockDim.x)
    with_lane(pack, p.prototypes, [&](const Lane& lane) {
      Pack<float> code;
      if (p.hard) {
        code = pack_of([&](u32 i) { return lane.first + i == best ? 1.0f : 0.0f; });
      } else {
        const Pack<float> s = exponents(lane, scores, p.inv_epsilon, p.log_u);
        code = pack_of([&](u32 i) { return expf(s.at[i] - log_sum); });
      }
      lane.store(p.codes + first, code);
    });
}
