// copy: moves elements between tensors, converting between f32 and real where the two differ.
#include "common.cuh"

// x, y (n), f32. One thread an element, grid-stride.
struct Copy { const float* x; float* y; u64 n; };

KERNEL(copy, Copy) {
  for (u64 i = thread_index(); i < p.n; i += thread_count()) p.y[i] = p.x[i];
}

// x (n) f32, y (n) real: rounds to nearest even.
struct CopyToReal { const float* x; real* y; u64 n; };

KERNEL(copy_to_real, CopyToReal) {
  for (u64 i = thread_index(); i < p.n; i += thread_count()) p.y[i] = to_real(p.x[i]);
}

// x (n) real, y (n) f32: exact.
struct CopyFromReal { const real* x; float* y; u64 n; };

KERNEL(copy_from_real, CopyFromReal) {
  for (u64 i = thread_index(); i < p.n; i += thread_count()) p.y[i] = to_float(p.x[i]);
}

// y (n) f32 = value.
struct Fill { float* y; u64 n; float value; };

KERNEL(fill, Fill) {
  for (u64 i = thread_index(); i < p.n; i += thread_count()) p.y[i] = p.value;
}
