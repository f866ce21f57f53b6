// add: y = a + b, element by element; what a residual block does, and what the tape does where a
// value was used twice.
#include "common.cuh"

// a, b, y (n). One thread an element, grid-stride.
struct Add { const real* a; const real* b; real* y; u64 n; };

KERNEL(add, Add) {
  for (u64 i = thread_index(); i < p.n; i += thread_count())
    p.y[i] = to_real(to_float(p.a[i]) + to_float(p.b[i]));
}

// a, b, y (n), all f32: gradients of parameters and of losses, which are f32 on every device.
struct AddF32 { const float* a; const float* b; float* y; u64 n; };

KERNEL(add_f32, AddF32) {
  for (u64 i = thread_index(); i < p.n; i += thread_count()) p.y[i] = p.a[i] + p.b[i];
}
