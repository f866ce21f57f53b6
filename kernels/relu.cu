// relu: y = max(x, 0), element by element.
#include "common.cuh"

// x, y (n). One thread an element, grid-stride: any grid is right and a large one is fast.
struct ReluForward { const real* x; real* y; u64 n; };

KERNEL(relu_forward, ReluForward) {
  for (u64 i = thread_index(); i < p.n; i += thread_count())
    p.y[i] = to_real(fmaxf(to_float(p.x[i]), 0.0f));
}

// dx = dy where y > 0, else 0. y, dy, dx (n): the output suffices, so the input need not be kept.
struct ReluBackward { const real* y; const real* dy; real* dx; u64 n; };

KERNEL(relu_backward, ReluBackward) {
  for (u64 i = thread_index(); i < p.n; i += thread_count())
    p.dx[i] = to_float(p.y[i]) > 0.0f ? p.dy[i] : to_real(0.0f);
}
