// relu: y = max(x, 0), element by element.
#include "pack.cuh"

// x, y (n). A thread: packs of 16 bytes, grid-stride: any grid is right and a large one is fast.
struct ReluForward { const real* x; real* y; u64 n; };

KERNEL(relu_forward, ReluForward) {
  map({p.x}, p.y, p.n, [](const float (&v)[1]) { return fmaxf(v[0], 0.0f); });
}

// dx = dy where y > 0, else 0. y, dy, dx (n): the output suffices, so the input need not be kept.
struct ReluBackward { const real* y; const real* dy; real* dx; u64 n; };

KERNEL(relu_backward, ReluBackward) {
  map({p.y, p.dy}, p.dx, p.n, [](const float (&v)[2]) { return v[0] > 0.0f ? v[1] : 0.0f; });
}
