// nt_xent on tensor cores, for d of up to 256, a multiple of eight. It is attention in shape, with z for
// queries, keys and values: a block owns rows i and streams the rows j past them, 64 at a time; what
// backward multiplies by, z_j, is what forward multiplied with, in the same shared memory.
//
// Rows are multiplied as they are stored, and their lengths divided out of the f32 products: s is as exact
// as z is. It never exceeds `shift` = 1 / temperature, so that e = exp(s - shift) needs no running maximum;
// and P_ij + P_ji = e_ij (w_i + w_j) with w = exp(shift - lse), so that backward needs one exponential an
// element, as forward does. e may be as little as exp(-2 shift), and w as much as its inverse: at
// temperatures where f32 ends, the plain kernels do it (src/ops/nt_xent/tiles.rs).
#pragma once
#include "mma_tile.cuh"

constexpr u32 STAGE_ROWS = MMA_DEPTH;  // rows j a stage: the terms of a stage of backward's product
constexpr u32 RING = 2;                // stages: one comes while the other is multiplied
constexpr float LOG2_E = 1.4426950408889634f;

// What is known of a stage's rows besides z: 1 / norm, and backward's weight.
struct StageRows { float inv_norm[STAGE_ROWS], weight[STAGE_ROWS]; };

// A warp owns 16 BLOCKS rows i; d is filled up with zeros to PANELS x 64.
template <u32 BLOCKS, u32 PANELS>
struct Contrast {
  static constexpr u32 ROWS = MMA_THREADS / WARP * 16 * BLOCKS;  // that a block owns
  static constexpr u32 SLICES = PANELS * MMA_DEPTH / 16;         // of d, as mma takes it
  static constexpr u32 PANEL_BYTES = ROWS * ROW_BYTES, STAGE_PANEL_BYTES = STAGE_ROWS * ROW_BYTES;
  struct Fragments { u32 a[BLOCKS][4]; };

  const MatrixRows z;
  const float* inv_norm;
  const float* weight;   // nullptr in forward
  u8* shared;            // the rows i, the ring, StageRows of each stage
  const u32 first;       // row i of the block
  const float exponent;  // 1 / temperature, for powers of two

  float sum[BLOCKS][8][4];  // rows i by rows j, as mma holds it

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
  DEVICE static u32 warp_row() { return threadIdx.x / WARP * 16 * BLOCKS; }
  DEVICE u32 row(u32 i, u32 half) const { return first + warp_row() + 16 * i + 8 * half + threadIdx.x % WARP / 4; }
  DEVICE u32 other(u32 row) const { return row < z.rows / 2 ? row + z.rows / 2 : row - z.rows / 2; }
  // A row of z, where rows past the end of it are only filled up.
  DEVICE u32 inside(u32 row) const { return min(row, z.rows - 1); }

  DEVICE static u32 slot(u32 j) { return j / STAGE_ROWS % RING; }
  DEVICE u8* stage(u32 j) const { return shared + PANELS * (PANEL_BYTES + slot(j) * STAGE_PANEL_BYTES); }
  DEVICE StageRows& known(u32 j) const {
    u8* after = shared + PANELS * (PANEL_BYTES + RING * STAGE_PANEL_BYTES);
    return reinterpret_cast<StageRows*>(after)[slot(j)];
  }

  template <u32 SIDE>
  DEVICE void copy_rows(u8* to, u32 first) const {
    const Staging<MatrixRows, SIDE> rows(z, first);
    for (u32 panel = 0; panel < PANELS; panel++)
      rows.copy(to + panel * SIDE * ROW_BYTES, panel * MMA_DEPTH, z.stride);
  }
  DEVICE void copy_numbers(float* to, const float* from, u32 j, u32 four) const {
    const u32 at = j + 4 * four, left = at < z.rows ? min(z.rows - at, 4) : 0;
    copy_async(to + 4 * four, from + (left > 0 ? at : 0), 4 * left);
  }
  DEVICE void copy_stage(u32 j) const {
    copy_rows<STAGE_ROWS>(stage(j), j);
    const u32 four = threadIdx.x % (STAGE_ROWS / 4), array = threadIdx.x / (STAGE_ROWS / 4);
    if (array == 0) copy_numbers(known(j).inv_norm, inv_norm, j, four);
    if (array == 1 && weight != nullptr) copy_numbers(known(j).weight, weight, j, four);
    copy_async_commit();
  }

  // The rows i and the first stage, j from `begin` on; all threads see them on return.
  DEVICE void start(u32 begin) const {
    copy_rows<ROWS>(shared, first);
    copy_stage(begin);
    copy_async_wait<0>();
    __syncthreads();
  }
  // Calls body(j) for the stages from `begin` to `end`.
  template <class Body>
  DEVICE void for_each_stage(u32 begin, u32 end, Body body) const {
    for (u32 j = begin; j < end; j += STAGE_ROWS) {
      if (j + STAGE_ROWS < end) copy_stage(j + STAGE_ROWS);
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
  // sum = z_i . z_j / |z_j|, where rows(slice) gives the fragments of z_i. UNROLL slices at a time: all where
  // fragments are an array of registers; in backward few, or its 255 registers would not do.
  template <u32 UNROLL, class Rows>
  DEVICE void similarities(u32 j, Rows rows) {
#pragma unroll
    for (u32 i = 0; i < BLOCKS * 8 * 4; i++) sum[i / 32][i / 4 % 8][i % 4] = 0.0f;
#pragma unroll UNROLL
    for (u32 slice = 0; slice < SLICES; slice++) {
      u32 b[8][2];
      load_columns<true>(b, stage(j) + slice / 4 * STAGE_PANEL_BYTES, 0, slice % 4);
      mma_tile(sum, rows(slice).a, b);
    }
    const float* norms = known(j).inv_norm;
    for_each_pair([&](u32, u32, u32 column, float& a, float& b) {
      const float2 inv = *reinterpret_cast<const float2*>(norms + column);
      a *= inv.x, b *= inv.y;
    });
  }
  // e, of z_i . z_j / |z_j| and `scale` of row i.
  DEVICE float scale(u32 row) const { return inv_norm[inside(row)] * exponent; }
  DEVICE float exponential(float similarity, float scale) const { return exp2_fast(similarity * scale - exponent); }

  // Whether the block's rows meet themselves, their other views or the end of z among 64 rows from j on.
  // All other stages, nearly all, are spared the questions.
  DEVICE bool is_special(u32 j) const {
    auto meets = [&](u32 from) { return from + ROWS - 1 - j < ROWS + STAGE_ROWS - 1; };  // wraps below 0
    return meets(first) || meets(first + z.rows / 2) || meets(first - z.rows / 2) || j + STAGE_ROWS > z.rows;
  }
  // Calls body(i, half, column, value) for the other views among a stage's columns.
  template <class Body>
  DEVICE void for_each_positive(u32 j, Body body) {
    for_each_pair([&](u32 i, u32 half, u32 column, float& a, float& b) {
      const u32 row = this->row(i, half), at = other(row) - j;
      if (row < z.rows && at == column) body(i, half, column, a);
      if (row < z.rows && at == column + 1) body(i, half, column + 1, b);
    });
  }
  // Nothing is as far from its own likeness, nor as what is past the end: e becomes 0.
  DEVICE void mask(u32 j) {
    for_each_pair([&](u32 i, u32 half, u32 column, float& a, float& b) {
      const u32 row = this->row(i, half);
      if (j + column == row || j + column >= z.rows) a = -INFINITY;
      if (j + column + 1 == row || j + column + 1 >= z.rows) b = -INFINITY;
    });
  }
};

template <u32 BLOCKS, u32 PANELS>
DEVICE void forward_tile(const NtXentForward& p) {
  DYNAMIC_SHARED_ALIGNED(u8, shared, 128);
  using Tile = Contrast<BLOCKS, PANELS>;
  Tile tile{{p.z, p.rows, p.d}, p.inv_norm, nullptr, shared, blockIdx.x * Tile::ROWS, LOG2_E / p.temperature};
  const u32 begin = blockIdx.y * p.range, end = min(begin + p.range, p.rows);
  tile.start(begin);
  // Rows i stay in registers: warps would wait for shared memory if they read them again.
  typename Tile::Fragments rows[Tile::SLICES];
#pragma unroll
  for (u32 slice = 0; slice < Tile::SLICES; slice++) rows[slice] = tile.fragments(slice);
  float scale[BLOCKS][2], total[BLOCKS][2];
#pragma unroll
  for (u32 i = 0; i < BLOCKS; i++)
#pragma unroll
    for (u32 half = 0; half < 2; half++) scale[i][half] = tile.scale(tile.row(i, half)), total[i][half] = 0.0f;

  tile.for_each_stage(begin, end, [&](u32 j) {
    tile.template similarities<Tile::SLICES>(j, [&](u32 slice) -> const auto& { return rows[slice]; });
    if (tile.is_special(j)) {
      tile.for_each_positive(j, [&](u32 i, u32 half, u32, float similarity) {
        p.positive[tile.row(i, half)] = similarity * scale[i][half] / LOG2_E;
      });
      tile.mask(j);
    }
    tile.for_each_pair([&](u32 i, u32 half, u32, float a, float b) {
      total[i][half] += tile.exponential(a, scale[i][half]) + tile.exponential(b, scale[i][half]);
    });
  });

#pragma unroll
  for (u32 i = 0; i < BLOCKS; i++)
#pragma unroll
    for (u32 half = 0; half < 2; half++) {
      float sum = total[i][half];  // four lanes share a row
      sum += __shfl_xor_sync(ALL_LANES, sum, 1);
      sum += __shfl_xor_sync(ALL_LANES, sum, 2);
      const u32 row = tile.row(i, half);
      if (threadIdx.x % 4 == 0 && row < p.rows)
        p.lse[u64(blockIdx.y) * p.rows + row] = 1.0f / p.temperature + logf(sum);
    }
}

template <u32 BLOCKS, u32 PANELS>
DEVICE void backward_tile(const NtXentBackward& p) {
  DYNAMIC_SHARED_ALIGNED(u8, shared, 128);
  using Tile = Contrast<BLOCKS, PANELS>;
  Tile tile{{p.z, p.rows, p.d}, p.inv_norm, p.weight, shared, blockIdx.x * Tile::ROWS, LOG2_E / p.temperature};
  const u32 begin = blockIdx.y * p.range, end = min(begin + p.range, p.rows);
  float scale[BLOCKS][2], weight[BLOCKS][2];  // of row i
#pragma unroll
  for (u32 i = 0; i < BLOCKS; i++)
#pragma unroll
    for (u32 half = 0; half < 2; half++) {
      const u32 row = tile.row(i, half);
      scale[i][half] = tile.scale(row);
      weight[i][half] = expf(1.0f / p.temperature - p.lse[tile.inside(row)]);
    }
  float out[PANELS][BLOCKS][8][4] = {};
  tile.start(begin);
  tile.for_each_stage(begin, end, [&](u32 j) {
    tile.template similarities<2>(j, [&](u32 slice) { return tile.fragments(slice); });
    const bool special = tile.is_special(j);
    if (special) tile.mask(j);
    const StageRows& known = tile.known(j);
    // G_ij / |z_j|: the product is with z_j as it is stored.
    tile.for_each_pair([&](u32 i, u32 half, u32 column, float& a, float& b) {
      const float2 inv = *reinterpret_cast<const float2*>(known.inv_norm + column);
      const float2 w = *reinterpret_cast<const float2*>(known.weight + column);
      a = tile.exponential(a, scale[i][half]) * (weight[i][half] * inv.x + w.x);
      b = tile.exponential(b, scale[i][half]) * (weight[i][half] * inv.y + w.y);
    });
    if (special)  // in f32: once trained, P + P' is nearly 2 there
      tile.for_each_positive(j, [&](u32, u32, u32 column, float& g) { g -= 2.0f * known.inv_norm[column]; });
#pragma unroll
    for (u32 slice = 0; slice < STAGE_ROWS / 16; slice++) {
      u32 g[BLOCKS][4];  // a sum's two blocks of columns are a factor's fragment
#pragma unroll
      for (u32 i = 0; i < BLOCKS; i++)
#pragma unroll
        for (u32 part = 0; part < 4; part++) {
          const float* pair = tile.sum[i][2 * slice + part / 2] + 2 * (part % 2);
          g[i][part] = pack_bf16(pair[0], pair[1]);
        }
#pragma unroll
      for (u32 panel = 0; panel < PANELS; panel++) {
        u32 b[8][2];
        load_columns<false>(b, tile.stage(j), panel * MMA_DEPTH, slice);
        mma_tile(out[panel], g, b);
      }
    }
  });

  const u32 lane = threadIdx.x % WARP;
  float* sums = p.sums + u64(blockIdx.y) * p.rows * p.d;
#pragma unroll
  for (u32 panel = 0; panel < PANELS; panel++)
#pragma unroll
    for (u32 at = 0; at < BLOCKS * 2 * 8; at++) {
      const u32 i = at / 16, half = at / 8 % 2, j = at % 8;
      const u32 row = tile.row(i, half), column = panel * MMA_DEPTH + 8 * j + lane % 4 * 2;
      if (row >= p.rows || column >= p.d) continue;
      const float* pair = out[panel][i][j] + 2 * half;
      *reinterpret_cast<float2*>(sums + u64(row) * p.d + column) = make_float2(pair[0], pair[1]);
    }
}
