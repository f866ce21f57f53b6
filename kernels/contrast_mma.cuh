// Rows i against rows j on tensor cores, for d of up to 256, a multiple of eight: what nt_xent and info_nce
// share. It is attention in shape: a block owns rows i and streams the rows j past them, 64 at a time; what
// backward multiplies by, row j, is what forward multiplied with, in the same shared memory.
//
// Rows are multiplied as they are stored, and their lengths divided out of the f32 products: a similarity s is
// as exact as the rows are. It never exceeds 1 / temperature, so that e = exp(s - 1 / temperature) needs
// no running maximum. e may be as little as exp(-2 / temperature): at temperatures where f32 ends, the plain
// kernels do it (src/ops/nt_xent/tiles.rs).
#pragma once
#include "mma_tile.cuh"

constexpr u32 STAGE_ROWS = MMA_DEPTH;  // rows j a stage: the terms of a stage of backward's product
constexpr u32 RING = 2;                // stages: one comes while the other is multiplied
constexpr float LOG2_E = 1.4426950408889634f;

// A warp owns 16 BLOCKS rows i; d is filled up with zeros to PANELS x 64.
template <u32 BLOCKS, u32 PANELS>
struct Contrast {
  static constexpr u32 ROWS = MMA_THREADS / WARP * 16 * BLOCKS;  // that a block owns
  static constexpr u32 SLICES = PANELS * MMA_DEPTH / 16;         // of d, as mma takes it
  static constexpr u32 PANEL_BYTES = ROWS * ROW_BYTES, STAGE_PANEL_BYTES = STAGE_ROWS * ROW_BYTES;
  struct Fragments { u32 a[BLOCKS][4]; };
  using Sums = float[PANELS][BLOCKS][8][4];

  const MatrixRows a, b;  // rows i, rows j
  u8* shared;             // the rows i, the ring, what else is known of each stage's rows
  const u32 first;        // row i of the block

  float sum[BLOCKS][8][4];  // rows i by rows j, as mma holds it

  DEVICE Contrast(const MatrixRows& a, const MatrixRows& b, u8* shared)
      : a(a), b(b), shared(shared), first(blockIdx.x * ROWS) {}

  // Calls body(i, half, column, first, second) for all pairs of neighbours in `sum`: row(i, half), and
  // `column` and the next one of the stage.
  template <class Body>
  DEVICE void for_each_pair(Body body) {
#pragma unroll
    for (u32 j = 0; j < 8; j++)
#pragma unroll
      for (u32 i = 0; i < BLOCKS; i++)
#pragma unroll
        for (u32 half = 0; half < 2; half++)
          body(i, half, 8 * j + threadIdx.x % 4 * 2, sum[i][j][2 * half], sum[i][j][2 * half + 1]);
  }
  // Calls body(i, half, row) for the rows of this lane, one of four to each.
  template <class Body>
  DEVICE void for_each_row(Body body) const {
#pragma unroll
    for (u32 i = 0; i < BLOCKS; i++)
#pragma unroll
      for (u32 half = 0; half < 2; half++) body(i, half, row(i, half));
  }
  DEVICE static u32 warp_row() { return threadIdx.x / WARP * 16 * BLOCKS; }
  DEVICE u32 row(u32 i, u32 half) const { return first + warp_row() + 16 * i + 8 * half + threadIdx.x % WARP / 4; }
  // A row of a, where rows past the end of it are only filled up.
  DEVICE u32 inside(u32 row) const { return min(row, a.rows - 1); }

  DEVICE static u32 slot(u32 j) { return j / STAGE_ROWS % RING; }
  DEVICE u8* stage(u32 j) const { return shared + PANELS * (PANEL_BYTES + slot(j) * STAGE_PANEL_BYTES); }
  DEVICE u8* after_ring() const { return shared + PANELS * (PANEL_BYTES + RING * STAGE_PANEL_BYTES); }

  template <u32 SIDE>
  DEVICE static void copy_rows(const MatrixRows& from, u8* to, u32 first) {
    const Staging<MatrixRows, SIDE> rows(from, first);
    for (u32 panel = 0; panel < PANELS; panel++)
      rows.copy(to + panel * SIDE * ROW_BYTES, panel * MMA_DEPTH, from.stride);
  }
  // Copies a stage: the rows from j on, and what `also(j)` copies.
  template <class Also>
  DEVICE void copy_stage(u32 j, Also also) const {
    copy_rows<STAGE_ROWS>(b, stage(j), j);
    also(j);
    copy_async_commit();
  }
  // The rows i and the first stage, j from `begin` on; all threads see them on return.
  template <class Also>
  DEVICE void start(u32 begin, Also also) const {
    copy_rows<ROWS>(a, shared, first);
    copy_stage(begin, also);
    copy_async_wait<0>();
    __syncthreads();
  }
  // Calls body(j) for the stages from `begin` to `end`.
  template <class Also, class Body>
  DEVICE void for_each_stage(u32 begin, u32 end, Also also, Body body) const {
    for (u32 j = begin; j < end; j += STAGE_ROWS) {
      if (j + STAGE_ROWS < end) copy_stage(j + STAGE_ROWS, also);
      body(j);
      copy_async_wait<0>();
      __syncthreads();  // the next stage has come for all threads, and all are done with this one
    }
  }

  DEVICE Fragments fragments(u32 slice) const {
    Fragments f;
    load_rows<true>(f.a, shared + slice / 4 * PANEL_BYTES, warp_row(), slice % 4);
    return f;
  }
  // sum = rows i . rows j, where rows(slice) gives the fragments of rows i. UNROLL slices at a time: all where
  // fragments are an array of registers; in backward few, or its 255 registers would not do.
  template <u32 UNROLL, class Rows>
  DEVICE void products(u32 j, Rows rows) {
#pragma unroll
    for (u32 i = 0; i < BLOCKS * 8 * 4; i++) sum[i / 32][i / 4 % 8][i % 4] = 0.0f;
#pragma unroll UNROLL
    for (u32 slice = 0; slice < SLICES; slice++) {
      u32 columns[8][2];
      load_columns<true>(columns, stage(j) + slice / 4 * STAGE_PANEL_BYTES, 0, slice % 4);
      mma_tile(sum, rows(slice).a, columns);
    }
  }
  // Nothing is as far from a row as the rows j that `excluded(row, column)` names: e becomes 0.
  template <class Excluded>
  DEVICE void mask(Excluded excluded) {
    for_each_pair([&](u32 i, u32 half, u32 column, float& a, float& b) {
      if (excluded(row(i, half), column)) a = -INFINITY;
      if (excluded(row(i, half), column + 1)) b = -INFINITY;
    });
  }

  // out += g . rows j, g in `sum`, rounded to bf16.
  DEVICE void weigh(Sums& out, u32 j) const {
#pragma unroll
    for (u32 slice = 0; slice < STAGE_ROWS / 16; slice++) {
      u32 g[BLOCKS][4];  // a sum's two blocks of columns are a factor's fragment
#pragma unroll
      for (u32 i = 0; i < BLOCKS; i++)
#pragma unroll
        for (u32 part = 0; part < 4; part++) {
          const float* pair = sum[i][2 * slice + part / 2] + 2 * (part % 2);
          g[i][part] = pack_bf16(pair[0], pair[1]);
        }
#pragma unroll
      for (u32 panel = 0; panel < PANELS; panel++) {
        u32 columns[8][2];
        load_columns<false>(columns, stage(j), panel * MMA_DEPTH, slice);
        mma_tile(out[panel], g, columns);
      }
    }
  }

  // lse (rows): of each row, 1 / temperature + log of the sum of e, where `total` is this lane's share of it.
  DEVICE void store_lse(float* lse, const float (&total)[BLOCKS][2], float temperature) const {
    for_each_row([&](u32 i, u32 half, u32 row) {
      float sum = total[i][half];  // four lanes share a row
      sum += __shfl_xor_sync(ALL_LANES, sum, 1);
      sum += __shfl_xor_sync(ALL_LANES, sum, 2);
      if (threadIdx.x % 4 == 0 && row < a.rows) lse[row] = 1.0f / temperature + logf(sum);
    });
  }
  // sums (rows, d).
  DEVICE void store_sums(float* sums, const Sums& out) const {
    const u32 d = a.stride;
#pragma unroll
    for (u32 panel = 0; panel < PANELS; panel++)
#pragma unroll
      for (u32 at = 0; at < BLOCKS * 2 * 8; at++) {
        const u32 i = at / 16, half = at / 8 % 2, j = at % 8;
        const u32 row = this->row(i, half), column = panel * MMA_DEPTH + 8 * j + threadIdx.x % 4 * 2;
        if (row >= a.rows || column >= d) continue;
        const float* pair = out[panel][i][j] + 2 * half;
        *reinterpret_cast<float2*>(sums + u64(row) * d + column) = make_float2(pair[0], pair[1]);
      }
  }
};
