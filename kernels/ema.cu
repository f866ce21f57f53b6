// ema: target = momentum target + (1 - momentum) source: a slow copy of what is trained.
#include "pack.cuh"

// target, source (n) f32. A thread: packs of 4, grid-stride.
struct Ema { float* target; const float* source; u64 n; float momentum; };

KERNEL(ema, Ema) {
  map({static_cast<const float*>(p.target), p.source}, p.target, p.n, [&](const float (&v)[2]) {
    return p.momentum * v[0] + (1.0f - p.momentum) * v[1];
  });
}
