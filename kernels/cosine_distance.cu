// cosine_distance: the mean over rows of 1 - cos(a, b).
#include "common.cuh"

// a, b (rows, cols) real; terms (rows, 3): cos(a, b), 1 / max(|a|, 1e-12), 1 / max(|b|, 1e-12), kept for
// backward; losses (rows). One block a row.
struct CosineDistanceForward {
  const real* a; const real* b; float* terms; float* losses; u32 rows, cols;
};

KERNEL(cosine_distance_forward, CosineDistanceForward) {
  const u64 first = u64(blockIdx.x) * p.cols;
  float aa = 0.0f, bb = 0.0f, ab = 0.0f;
  for (u32 c = threadIdx.x; c < p.cols; c += blockDim.x) {
    const float a = to_float(p.a[first + c]), b = to_float(p.b[first + c]);
    aa += a * a;
    bb += b * b;
    ab += a * b;
  }
  const float inv_a = 1.0f / fmaxf(sqrtf(block_sum(aa)), 1e-12f);
  const float inv_b = 1.0f / fmaxf(sqrtf(block_sum(bb)), 1e-12f);
  const float cosine = block_sum(ab) * inv_a * inv_b;
  if (threadIdx.x > 0) return;
  float* terms = p.terms + 3 * u64(blockIdx.x);
  terms[0] = cosine;
  terms[1] = inv_a;
  terms[2] = inv_b;
  p.losses[blockIdx.x] = 1.0f - cosine;
}

// da = (a^ cos - b^) dy / (rows |a|), a^ and b^ of length 1; db likewise.
// a, b, da, db (rows, cols) real, da or db null where it is not wanted; terms (rows, 3); dy (1). One block a
// row.
struct CosineDistanceBackward {
  const real* a; const real* b; const float* terms; const float* dy; real* da; real* db; u32 rows, cols;
};

KERNEL(cosine_distance_backward, CosineDistanceBackward) {
  const u64 first = u64(blockIdx.x) * p.cols;
  const float* terms = p.terms + 3 * u64(blockIdx.x);
  const float cosine = terms[0], inv_a = terms[1], inv_b = terms[2], scale = p.dy[0] / float(p.rows);
  for (u32 c = threadIdx.x; c < p.cols; c += blockDim.x) {
    const float a = to_float(p.a[first + c]) * inv_a, b = to_float(p.b[first + c]) * inv_b;
    if (p.da) p.da[first + c] = to_real((a * cosine - b) * scale * inv_a);
    if (p.db) p.db[first + c] = to_real((b * cosine - a) * scale * inv_b);
  }
}
