// draw_negatives: which rows of a memory bank stand against each row of a batch, drawn from (seed, step, row).
#include "pack.cuh"
#include "random.cuh"

// step (1), in memory since it changes while the launch does not; negatives (rows, count) u32, each uniform
// in 0..images, with replacement: column k is draw k of its row's stream. A thread: four draws, of one block
// of Philox.
struct DrawNegatives { const u32* step; u32* negatives; u64 seed; u32 rows, count, images; };

KERNEL(draw_negatives, DrawNegatives) {
  const u32 blocks = (p.count + 3) / 4;
  for (u64 i = thread_index(); i < u64(p.rows) * blocks; i += thread_count()) {
    const u32 row = u32(i / blocks), block = u32(i % blocks);
    Draws draws = draws_from_block(draws_new(p.seed, PURPOSE_NEGATIVES, *p.step, row, 0), block);
    Pack<u32, 4> drawn;
#pragma unroll
    for (u32 k = 0; k < 4; ++k) drawn.at[k] = draw_below(draws, p.images);
    u32* to = p.negatives + u64(row) * p.count + 4 * block;
    if (p.count % 4 == 0) {
      *reinterpret_cast<Pack<u32, 4>*>(to) = drawn;
    } else {
#pragma unroll
      for (u32 k = 0; k < 4; ++k)
        if (4 * block + k < p.count) to[k] = drawn.at[k];
    }
  }
}
