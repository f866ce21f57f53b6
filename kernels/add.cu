// add: y = a + b, element by element; what a residual block does, and what the tape does where a
// value was used twice.
#include "pack.cuh"

// a, b, y (n). A thread: packs of 16 bytes, grid-stride.
struct Add { const real* a; const real* b; real* y; u64 n; };

KERNEL(add, Add) {
  map({p.a, p.b}, p.y, p.n, [](const float (&v)[2]) { return v[0] + v[1]; });
}

// a, b, y (n), all f32: gradients of parameters and of losses, which are f32 on every device.
struct AddF32 { const float* a; const float* b; float* y; u64 n; };

KERNEL(add_f32, AddF32) {
  map({p.a, p.b}, p.y, p.n, [](const float (&v)[2]) { return v[0] + v[1]; });
}
