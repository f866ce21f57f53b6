// weighted_sum: z = a x + b y of two losses.
#include "common.cuh"

// x, y, z (1) f32. One thread.
struct WeightedSumForward { const float* x; const float* y; float* z; float a, b; };

KERNEL(weighted_sum_forward, WeightedSumForward) {
  if (thread_index() == 0) *p.z = p.a * *p.x + p.b * *p.y;
}

// dx = a dz, dy = b dz. dz, dx, dy (1) f32. One thread.
struct WeightedSumBackward { const float* dz; float* dx; float* dy; float a, b; };

KERNEL(weighted_sum_backward, WeightedSumBackward) {
  if (thread_index() > 0) return;
  *p.dx = p.a * *p.dz;
  *p.dy = p.b * *p.dz;
}
