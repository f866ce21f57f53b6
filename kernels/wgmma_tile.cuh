// A tile of a matrix product, M x N, by compute capability 9.0: one warp has the copy engine fill a ring of
// stages in shared memory, 64 terms of the sum each, and two warpgroups multiply them by wgmma. They meet
// at barriers alone: a stage is `full` when its bytes have come, `empty` when both have multiplied it.
//
// A stage is as the copy engine leaves it, in rows of 128 bytes whose chunks are swizzled: K_MAJOR, a row
// for each index of the side; MN_MAJOR, panels of 64 of the side, a row for each term.
#pragma once
#include "ptx_hopper.cuh"
#include "tile_output.cuh"

constexpr u32 WGMMA_DEPTH = 64;
constexpr u32 WGMMA_CONSUMERS = 256;
constexpr u32 WGMMA_THREADS = WGMMA_CONSUMERS + WARP;
constexpr u32 PANEL_BYTES = 64 * 128;  // 64 rows

template <u32 M, u32 N, Major A, Major B, u32 STAGES>
struct WgmmaTile {
  static_assert(M == 128 || M == 64, "the warpgroups share rows or columns");
  static constexpr u32 COLUMNS = M == 128 ? N : N / 2;  // of a warpgroup, which has 64 rows
  static constexpr u32 STAGE_BYTES = (M + N) * 128;
  using Output = TileOutput<M, N, WGMMA_CONSUMERS>;

  float sum[COLUMNS / 2];

  DEVICE static u32 warpgroup() { return threadIdx.x / 128; }
  DEVICE static u32 first_row() { return M == 128 ? warpgroup() * 64 : 0; }
  DEVICE static u32 first_column() { return M == 128 ? 0 : warpgroup() * COLUMNS; }

  // Adds up `steps` stages. load(step, rows, columns, barrier) starts the copies of one stage, which
  // arrive at the barrier. False for the threads that only copied and are done.
  template <class Load>
  DEVICE bool product(u8* shared, u32 steps, Load load) {
    SHARED_ARRAY(u64, full, STAGES);
    SHARED_ARRAY(u64, empty, STAGES);
    if (threadIdx.x == 0) {
      for (u32 i = 0; i < STAGES; i++) mbarrier_init(&full[i], 1), mbarrier_init(&empty[i], 2);
      mbarrier_init_fence();
    }
    __syncthreads();
    if (threadIdx.x >= WGMMA_CONSUMERS) {
      if (threadIdx.x == WGMMA_CONSUMERS)
        for (u32 step = 0; step < steps; step++) {
          const u32 stage = step % STAGES;
          mbarrier_wait(&empty[stage], (step / STAGES + 1) % 2);  // passes at once the first time round
          mbarrier_arrive_expect(&full[stage], STAGE_BYTES);
          u8* rows = shared + stage * STAGE_BYTES;
          load(step, rows, rows + M * 128, &full[stage]);
        }
      return false;
    }
#pragma unroll
    for (u32 i = 0; i < COLUMNS / 2; i++) sum[i] = 0.0f;
    for (u32 step = 0; step < steps; step++) {
      mbarrier_wait(&full[step % STAGES], step / STAGES % 2);
      multiply(shared + step % STAGES * STAGE_BYTES);
      // Nothing stays in flight: the other warpgroup, and the other block, multiply meanwhile.
      wgmma_wait<0>();
      if (threadIdx.x % 128 == 0) mbarrier_arrive(&empty[step % STAGES]);
    }
    return true;
  }

  DEVICE void multiply(const u8* stage) {
    const u8* rows = stage + first_row() * 128;  // a panel of 64 either way
    const u8* columns = stage + M * 128 + first_column() * 128;
    const u64 a = matrix_descriptor(rows, PANEL_BYTES, 1024, SWIZZLE_128);
    const u64 b = matrix_descriptor(columns, PANEL_BYTES, 1024, SWIZZLE_128);
    wgmma_fence();
#pragma unroll
    for (u32 slice = 0; slice < WGMMA_DEPTH / 16; slice++) {
      const u64 slice_a = advanced(a, slice * (A == K_MAJOR ? 32 : 16 * 128));
      const u64 slice_b = advanced(b, slice * (B == K_MAJOR ? 32 : 16 * 128));
      wgmma<COLUMNS, A, B>(sum, slice_a, slice_b, true);
    }
    wgmma_commit();
  }

  // Calls body(row, column, first, second) for every pair of neighbouring sums this thread holds.
  template <class Body>
  DEVICE void for_each_pair(Body body) {
    const u32 row = first_row() + threadIdx.x % 128 / WARP * 16 + threadIdx.x % WARP / 4;
    const u32 column = first_column() + threadIdx.x % 4 * 2;
#pragma unroll
    for (u32 i = 0; i < COLUMNS / 2; i += 2)
      body(row + i / 2 % 2 * 8, column + i / 4 * 8, sum[i], sum[i + 1]);
  }

  // Puts the tile into shared memory as bf16; all consumers see it on return.
  DEVICE void round_to(u8* shared) {
    Output::sync();  // the stages have been read
    for_each_pair([&](u32 row, u32 column, float first, float second) {
      Output::put(shared, row, column, first, second);
    });
    Output::sync();
  }
};
