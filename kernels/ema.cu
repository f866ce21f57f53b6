// ema: target = momentum target + (1 - momentum) source: a slow copy of what is trained.
#include "common.cuh"

// target, source (n) f32. One thread an element, grid-stride.
struct Ema { float* target; const float* source; u64 n; float momentum; };

KERNEL(ema, Ema) {
  for (u64 i = thread_index(); i < p.n; i += thread_count())
    p.target[i] = p.momentum * p.target[i] + (1.0f - p.momentum) * p.source[i];
}
