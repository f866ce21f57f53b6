// info_nce on tensor cores: queries for rows i, negatives for rows j (contrast_mma.cuh).
#pragma once
#include "contrast_mma.cuh"

template <u32 BLOCKS, u32 PANELS>
DEVICE void forward_tile(const InfoNceForward& p) {
  DYNAMIC_SHARED_ALIGNED(u8, shared, 128);
  using Tile = Contrast<BLOCKS, PANELS>;
  Tile tile({p.q, p.rows, p.d}, {p.negatives, p.count, p.d}, shared);
  const u32 begin = blockIdx.y * p.range, end = min(begin + p.range, p.count);
  const float exponent = LOG2_E / p.temperature;  // for powers of two
  auto nothing = [](u32) {};
  tile.start(begin, nothing);
  // Rows i stay in registers: warps would wait for shared memory if they read them again.
  typename Tile::Fragments rows[Tile::SLICES];
#pragma unroll
  for (u32 slice = 0; slice < Tile::SLICES; slice++) rows[slice] = tile.fragments(slice);
  float scale[BLOCKS][2], total[BLOCKS][2];
  tile.for_each_row([&](u32 i, u32 half, u32 row) {
    scale[i][half] = p.inv_norm[tile.inside(row)] * exponent, total[i][half] = 0.0f;
  });

  tile.for_each_stage(begin, end, nothing, [&](u32 j) {
    tile.template products<Tile::SLICES>(j, [&](u32 slice) -> const auto& { return rows[slice]; });
    if (j + STAGE_ROWS > p.count) tile.mask([&](u32, u32 column) { return j + column >= p.count; });
    tile.for_each_pair([&](u32 i, u32 half, u32, float a, float b) {
      total[i][half] += exp2_fast(a * scale[i][half] - exponent) + exp2_fast(b * scale[i][half] - exponent);
    });
  });
  tile.store_lse(p.lse + u64(blockIdx.y) * p.rows, total, p.temperature);
}

template <u32 BLOCKS, u32 PANELS>
DEVICE void backward_tile(const InfoNceBackward& p) {
  DYNAMIC_SHARED_ALIGNED(u8, shared, 128);
  using Tile = Contrast<BLOCKS, PANELS>;
  Tile tile({p.q, p.rows, p.d}, {p.negatives, p.count, p.d}, shared);
  const u32 begin = blockIdx.y * p.range, end = min(begin + p.range, p.count);
  auto nothing = [](u32) {};
  float scale[BLOCKS][2], lse[BLOCKS][2];  // of row i, for powers of two
  tile.for_each_row([&](u32 i, u32 half, u32 row) {
    scale[i][half] = p.inv_norm[tile.inside(row)] * (LOG2_E / p.temperature);
    lse[i][half] = p.lse[tile.inside(row)] * LOG2_E;
  });
  typename Tile::Sums out = {};
  tile.start(begin, nothing);
  tile.for_each_stage(begin, end, nothing, [&](u32 j) {
    tile.template products<2>(j, [&](u32 slice) { return tile.fragments(slice); });
    // Past the end of the negatives P is something times a row of zeros.
    tile.for_each_pair([&](u32 i, u32 half, u32, float& a, float& b) {
      a = exp2_fast(a * scale[i][half] - lse[i][half]);
      b = exp2_fast(b * scale[i][half] - lse[i][half]);
    });
    tile.weigh(out, j);
  });
  tile.store_sums(p.sums + u64(blockIdx.y) * p.rows * p.d, out);
}
