// deal_rows: rows dealt out to hands like cards, one to each in turn.
#include "pack.cuh"

// y[hand (rows / hands) + i] = x[i hands + hand]. x, y (rows, width) real. 16 bytes a step where rows start
// at multiples of that, one element otherwise.
struct DealRows { const real* x; real* y; u32 rows, hands; u64 width; };

KERNEL(deal_rows, DealRows) {
  constexpr u32 W = 16 / sizeof(real);
  const bool packed = p.width % W == 0 && is_aligned(p.x, p.y);
  const u64 step = packed ? W : 1, steps = p.width / step, each = p.rows / p.hands;
  for (u64 at = thread_index(); at < p.rows * steps; at += thread_count()) {
    const u64 row = at / steps, first = at % steps * step;
    const u64 from = (row % each * p.hands + row / each) * p.width + first, to = row * p.width + first;
    if (packed) *reinterpret_cast<Pack<real, W>*>(p.y + to) = load_pack<W>(p.x + from);
    else p.y[to] = p.x[from];
  }
}
