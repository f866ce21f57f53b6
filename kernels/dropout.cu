// dropout: y = x / (1 - probability) where an element is kept, 0 where it is dropped, with `probability`.
#include "pack.cuh"
#include "random.cuh"

// x, y (n) real; step (1), in memory since it changes while the launch does not. Element i is dropped if draw
// i of the stream (seed, step, layer) is below `probability`: so backward, the same on dy, draws the same. A
// thread: packs of 8, of two blocks of Philox, grid-stride.
struct Dropout { const real* x; const u32* step; real* y; u64 n, seed; u32 layer; float probability; };

KERNEL(dropout, Dropout) {
  const Draws stream = draws_new(p.seed, PURPOSE_DROPOUT, *p.step, 0, p.layer);
  const float scale = 1.0f / (1.0f - p.probability);
  const bool aligned = is_aligned(p.x, p.y);
  for (u64 first = thread_index() * PACK; first < p.n; first += thread_count() * PACK) {
    Draws draws = draws_from_block(stream, u32(first / 4));
    auto dropped = [&](real x) { return draw_unit(draws) < p.probability ? 0.0f : to_float(x) * scale; };
    if (aligned && first + PACK <= p.n) {
      const Pack<real> x = load_pack<PACK>(p.x + first);
      store_pack(p.y + first, pack_of([&](u32 i) { return dropped(x.at[i]); }));
    } else {
#pragma unroll 1
      for (u64 i = first; i < p.n && i < first + PACK; ++i) p.y[i] = to_real(dropped(p.x[i]));
    }
  }
}
