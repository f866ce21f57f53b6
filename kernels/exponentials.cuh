// Sums of exponentials that neither overflow nor vanish: each is held relative to its largest exponent, so
// that its logarithm is as exact as that.
#pragma once
#include "pack.cuh"

// sum of exp(s - most) over some s, of which `most` is the largest; -INFINITY and 0 of none.
struct Exponentials {
  float most = -INFINITY, sum = 0.0f;

  DEVICE float log() const { return most + logf(sum); }

  // Adds the first `count` of s: rescaled once for all of them.
  template <u32 N> DEVICE void add(const Pack<float, N>& s, u32 count) {
    float largest = most;
#pragma unroll
    for (u32 i = 0; i < N; ++i)
      if (i < count) largest = fmaxf(largest, s.at[i]);
    if (largest == -INFINITY) return;  // all are exponentials that are 0
    sum *= scale_to(largest);
    most = largest;
#pragma unroll
    for (u32 i = 0; i < N; ++i)
      if (i < count) sum += expf(s.at[i] - most);
  }

  // What makes a sum relative to `most` one relative to `largest`; of nothing, nothing.
  DEVICE float scale_to(float largest) const { return most == -INFINITY ? 0.0f : expf(most - largest); }
};

DEVICE Exponentials warp_sum(const Exponentials& v) {
  const float most = warp_max(v.most);
  return {most, warp_sum(v.sum * v.scale_to(most))};
}

// Over a block of whole warps, returned to every thread. One-dimensional blocks only.
DEVICE Exponentials block_sum(const Exponentials& v) {
  SHARED_ARRAY(float, most, WARP);
  SHARED_ARRAY(float, sum, WARP);
  const u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
  Exponentials part = warp_sum(v);
  if (lane == 0) most[warp] = part.most, sum[warp] = part.sum;
  __syncthreads();
  part = {};
  if (lane < blockDim.x / WARP) part = {most[lane], sum[lane]};
  part = warp_sum(part);
  __syncthreads();  // both arrays may be reused by the next call
  return part;
}
