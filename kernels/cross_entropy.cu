// cross_entropy: the mean over rows of -log softmax(logits) at the target class.
#include "common.cuh"

// logits (rows, classes) real; targets (rows) u32; lse (rows): log-sum-exp, kept for backward instead of
// probabilities; losses (rows). One block a row, read twice, the second time from L2.
struct CrossEntropyForward {
  const real* logits; const u32* targets; float* lse; float* losses; u32 rows, classes;
};

KERNEL(cross_entropy_forward, CrossEntropyForward) {
  const real* logits = p.logits + u64(blockIdx.x) * p.classes;
  float most = -INFINITY;
  for (u32 c = threadIdx.x; c < p.classes; c += blockDim.x) most = fmaxf(most, to_float(logits[c]));
  most = block_max(most);
  float sum = 0.0f;
  for (u32 c = threadIdx.x; c < p.classes; c += blockDim.x) sum += expf(to_float(logits[c]) - most);
  const float lse = most + logf(block_sum(sum));
  if (threadIdx.x == 0) {
    p.lse[blockIdx.x] = lse;
    p.losses[blockIdx.x] = lse - to_float(logits[p.targets[blockIdx.x]]);
  }
}

// loss (1) = mean of losses (rows). One block: the order of the sum is a matter of rows.
struct CrossEntropyMean { const float* losses; float* loss; u32 rows; };

KERNEL(cross_entropy_mean, CrossEntropyMean) {
  float sum = 0.0f;
  for (u32 i = threadIdx.x; i < p.rows; i += blockDim.x) sum += p.losses[i];
  sum = block_sum(sum);
  if (threadIdx.x == 0) p.loss[0] = sum / float(p.rows);
}

// dlogits = (softmax - one at the target) dy / rows.
// logits, dlogits (rows, classes) real; targets, lse (rows); dy (1). One block a row.
struct CrossEntropyBackward {
  const real* logits; const u32* targets; const float* lse; const float* dy; real* dlogits;
  u32 rows, classes;
};

KERNEL(cross_entropy_backward, CrossEntropyBackward) {
  const u64 first = u64(blockIdx.x) * p.classes;
  const u32 target = p.targets[blockIdx.x];
  const float lse = p.lse[blockIdx.x], scale = p.dy[0] / float(p.rows);
  for (u32 c = threadIdx.x; c < p.classes; c += blockDim.x) {
    const float softmax = expf(to_float(p.logits[first + c]) - lse);
    p.dlogits[first + c] = to_real((softmax - (c == target ? 1.0f : 0.0f)) * scale);
  }
}
