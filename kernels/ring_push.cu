// ring_push: rows into a ring of rows, from where a pointer in device memory says, which then moves on.
#include "pack.cuh"

// rows (n, d), ring (count, d) real, n <= count; pointer (1). Row i becomes row (pointer + i) mod count of the
// ring. A thread: eight neighbours of a row.
struct RingPush { const real* rows; const u32* pointer; real* ring; u32 count, n, d; };

KERNEL(ring_push, RingPush) {
  const u32 packs = (p.d + PACK - 1) / PACK;
  const u64 row = thread_index() / packs;
  if (row >= p.n) return;
  const u64 place = (*p.pointer + row) % p.count;
  with_lane(thread_index() % packs, p.d, [&](const Lane& lane) {
    lane.store(p.ring + place * p.d, lane.load(p.rows + row * p.d));
  });
}

// pointer (1) = (pointer + n) mod count. A launch of its own: no block of `ring_push` may see it early.
struct RingPushPointer { u32* pointer; u32 count, n; };

KERNEL(ring_push_pointer, RingPushPointer) {
  if (thread_index() == 0) *p.pointer = u32((u64(*p.pointer) + p.n) % p.count);
}
