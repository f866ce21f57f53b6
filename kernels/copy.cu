// copy: moves elements between tensors, converting between f32 and real where the two differ.
#include "pack.cuh"

// x, y (n), f32. A thread: packs of 4, grid-stride.
struct Copy { const float* x; float* y; u64 n; };

KERNEL(copy, Copy) {
  map({p.x}, p.y, p.n, [](const float (&v)[1]) { return v[0]; });
}

// x (n) f32, y (n) real: rounds to nearest even.
struct CopyToReal { const float* x; real* y; u64 n; };

KERNEL(copy_to_real, CopyToReal) {
  map({p.x}, p.y, p.n, [](const float (&v)[1]) { return v[0]; });
}

// x (n) real, y (n) f32: exact.
struct CopyFromReal { const real* x; float* y; u64 n; };

KERNEL(copy_from_real, CopyFromReal) {
  map({p.x}, p.y, p.n, [](const float (&v)[1]) { return v[0]; });
}

// x, y (n) real. Where real is f32, `copy` serves.
struct CopyReal { const real* x; real* y; u64 n; };

KERNEL(copy_real, CopyReal) {
  map({p.x}, p.y, p.n, [](const float (&v)[1]) { return v[0]; });
}

// y (n) f32 = value.
struct Fill { float* y; u64 n; float value; };

KERNEL(fill, Fill) {
  const u64 packs = is_aligned(p.y) ? p.n / 4 : 0;
  const Pack<float, 4> values = pack_of<4>([&](u32) { return p.value; });
  for (u64 i = thread_index(); i < packs; i += thread_count()) store_pack(p.y + 4 * i, values);
  for (u64 i = 4 * packs + thread_index(); i < p.n; i += thread_count()) p.y[i] = p.value;
}
