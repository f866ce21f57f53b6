// pair_patches: of nine patches of an image, each of the eight around the centre beside the centre.
#include "pack.cuh"

constexpr u32 CENTRE = 4;  // of nine, in reading order

// Which patch is neighbour j of the centre, in reading order.
DEVICE u32 neighbour(u32 j) { return j < CENTRE ? j : j + 1; }

// x (9 images, c), y (8 images, 2 c) real: y[8 i + j] = [x[9 i + 4], x[9 i + neighbour j]]. A thread: a pack
// of all of an image's patches, grid-stride.
struct PairPatchesForward { const real* x; real* y; u32 images, c; };

KERNEL(pair_patches_forward, PairPatchesForward) {
  const u32 packs = (p.c + PACK - 1) / PACK;
  for (u64 i = thread_index(); i < u64(p.images) * packs; i += thread_count()) {
    const real* x = p.x + i / packs * 9 * p.c;
    real* y = p.y + i / packs * 16 * p.c;
    with_lane(u32(i % packs), p.c, [&](Lane lane) {
      const Pack<real> centre = lane.load(x + CENTRE * p.c);
#pragma unroll
      for (u32 j = 0; j < 8; ++j) {
        lane.store(y + 2 * j * p.c, centre);
        lane.store(y + (2 * j + 1) * p.c, lane.load(x + neighbour(j) * p.c));
      }
    });
  }
}

// dx[9 i + 4] = the sum over j, in their order, of the first half of dy[8 i + j]; dx[9 i + neighbour j] = its
// second half. dy (8 images, 2 c), dx (9 images, c) real. A thread: as forward.
struct PairPatchesBackward { const real* dy; real* dx; u32 images, c; };

KERNEL(pair_patches_backward, PairPatchesBackward) {
  const u32 packs = (p.c + PACK - 1) / PACK;
  for (u64 i = thread_index(); i < u64(p.images) * packs; i += thread_count()) {
    const real* dy = p.dy + i / packs * 16 * p.c;
    real* dx = p.dx + i / packs * 9 * p.c;
    with_lane(u32(i % packs), p.c, [&](Lane lane) {
      Pack<float> sum = {};
#pragma unroll
      for (u32 j = 0; j < 8; ++j) {
        const Pack<real> centre = lane.load(dy + 2 * j * p.c);
#pragma unroll
        for (u32 k = 0; k < PACK; ++k) sum.at[k] += to_float(centre.at[k]);
        lane.store(dx + neighbour(j) * p.c, lane.load(dy + (2 * j + 1) * p.c));
      }
      lane.store(dx + CENTRE * p.c, to_reals(sum));
    });
  }
}
