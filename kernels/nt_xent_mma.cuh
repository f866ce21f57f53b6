// nt_xent on tensor cores: z for rows i and rows j both (contrast_mma.cuh). P_ij + P_ji = e_ij (w_i + w_j)
// with w = exp(1 / temperature - lse), so that backward needs one exponential an element, as forward does.
// w may be as much as e's inverse: f32 has room for both.
#pragma once
#include "contrast_mma.cuh"

// What is known of a stage's rows besides z: 1 / norm, and backward's weight.
struct StageRows { float inv_norm[STAGE_ROWS], weight[STAGE_ROWS]; };

template <u32 BLOCKS, u32 PANELS>
struct Views : Contrast<BLOCKS, PANELS> {
  using Base = Contrast<BLOCKS, PANELS>;
  using Base::ROWS, Base::first, Base::row, Base::for_each_pair;

  const u32 rows;        // of z
  const float* inv_norm;
  const float* weight;   // nullptr in forward
  const float exponent;  // 1 / temperature, for powers of two

  DEVICE Views(const MatrixRows& z, const float* inv_norm, const float* weight, u8* shared, float temperature)
      : Base(z, z, shared), rows(z.rows), inv_norm(inv_norm), weight(weight), exponent(LOG2_E / temperature) {}

  DEVICE u32 other(u32 row) const { return row < rows / 2 ? row + rows / 2 : row - rows / 2; }

  DEVICE StageRows& known(u32 j) const { return reinterpret_cast<StageRows*>(this->after_ring())[Base::slot(j)]; }
  DEVICE void copy_numbers(float* to, const float* from, u32 j, u32 four) const {
    const u32 at = j + 4 * four, left = at < rows ? min(rows - at, 4) : 0;
    copy_async(to + 4 * four, from + (left > 0 ? at : 0), 4 * left);
  }
  DEVICE void copy_known(u32 j) const {
    const u32 four = threadIdx.x % (STAGE_ROWS / 4), array = threadIdx.x / (STAGE_ROWS / 4);
    if (array == 0) copy_numbers(known(j).inv_norm, inv_norm, j, four);
    if (array == 1 && weight != nullptr) copy_numbers(known(j).weight, weight, j, four);
  }

  // sum = z_i . z_j / |z_j|.
  template <u32 UNROLL, class Rows>
  DEVICE void similarities(u32 j, Rows rows) {
    this->template products<UNROLL>(j, rows);
    const float* norms = known(j).inv_norm;
    for_each_pair([&](u32, u32, u32 column, float& a, float& b) {
      const float2 inv = *reinterpret_cast<const float2*>(norms + column);
      a *= inv.x, b *= inv.y;
    });
  }
  // e, of z_i . z_j / |z_j| and `scale` of row i.
  DEVICE float scale(u32 row) const { return inv_norm[this->inside(row)] * exponent; }
  DEVICE float exponential(float similarity, float scale) const { return exp2_fast(similarity * scale - exponent); }

  // Whether the block's rows meet themselves, their other views or the end of z among 64 rows from j on.
  // All other stages, nearly all, are spared the questions.
  DEVICE bool is_special(u32 j) const {
    auto meets = [&](u32 from) { return from + ROWS - 1 - j < ROWS + STAGE_ROWS - 1; };  // wraps below 0
    return meets(first) || meets(first + rows / 2) || meets(first - rows / 2) || j + STAGE_ROWS > rows;
  }
  // Calls body(i, half, column, value) for the other views among a stage's columns.
  template <class Body>
  DEVICE void for_each_positive(u32 j, Body body) {
    for_each_pair([&](u32 i, u32 half, u32 column, float& a, float& b) {
      const u32 row = this->row(i, half), at = other(row) - j;
      if (row < rows && at == column) body(i, half, column, a);
      if (row < rows && at == column + 1) body(i, half, column + 1, b);
    });
  }
  // A row's own likeness, and what is past the end.
  DEVICE void mask_stage(u32 j) {
    this->mask([&](u32 row, u32 column) { return j + column == row || j + column >= rows; });
  }
};

template <u32 BLOCKS, u32 PANELS>
DEVICE void forward_tile(const NtXentForward& p) {
  DYNAMIC_SHARED_ALIGNED(u8, shared, 128);
  using Tile = Views<BLOCKS, PANELS>;
  Tile tile({p.z, p.rows, p.d}, p.inv_norm, nullptr, shared, p.temperature);
  const u32 begin = blockIdx.y * p.range, end = min(begin + p.range, p.rows);
  auto copy_known = [&](u32 j) { tile.copy_known(j); };
  tile.start(begin, copy_known);
  // Rows i stay in registers: warps would wait for shared memory if they read them again.
  typename Tile::Fragments rows[Tile::SLICES];
#pragma unroll
  for (u32 slice = 0; slice < Tile::SLICES; slice++) rows[slice] = tile.fragments(slice);
  float scale[BLOCKS][2], total[BLOCKS][2];
  tile.for_each_row([&](u32 i, u32 half, u32 row) { scale[i][half] = tile.scale(row), total[i][half] = 0.0f; });

  tile.for_each_stage(begin, end, copy_known, [&](u32 j) {
    tile.template similarities<Tile::SLICES>(j, [&](u32 slice) -> const auto& { return rows[slice]; });
    if (tile.is_special(j)) {
      tile.for_each_positive(j, [&](u32 i, u32 half, u32, float similarity) {
        p.positive[tile.row(i, half)] = similarity * scale[i][half] / LOG2_E;
      });
      tile.mask_stage(j);
    }
    tile.for_each_pair([&](u32 i, u32 half, u32, float a, float b) {
      total[i][half] += tile.exponential(a, scale[i][half]) + tile.exponential(b, scale[i][half]);
    });
  });
  tile.store_lse(p.lse + u64(blockIdx.y) * p.rows, total, p.temperature);
}

template <u32 BLOCKS, u32 PANELS>
DEVICE void backward_tile(const NtXentBackward& p) {
  DYNAMIC_SHARED_ALIGNED(u8, shared, 128);
  using Tile = Views<BLOCKS, PANELS>;
  Tile tile({p.z, p.rows, p.d}, p.inv_norm, p.weight, shared, p.temperature);
  const u32 begin = blockIdx.y * p.range, end = min(begin + p.range, p.rows);
  auto copy_known = [&](u32 j) { tile.copy_known(j); };
  float scale[BLOCKS][2], weight[BLOCKS][2];  // of row i
  tile.for_each_row([&](u32 i, u32 half, u32 row) {
    scale[i][half] = tile.scale(row);
    weight[i][half] = expf(1.0f / p.temperature - p.lse[tile.inside(row)]);
  });
  typename Tile::Sums out = {};
  tile.start(begin, copy_known);
  tile.for_each_stage(begin, end, copy_known, [&](u32 j) {
    tile.template similarities<2>(j, [&](u32 slice) { return tile.fragments(slice); });
    const bool special = tile.is_special(j);
    if (special) tile.mask_stage(j);
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
    tile.weigh(out, j);
  });
  tile.store_sums(p.sums + u64(blockIdx.y) * p.rows * p.d, out);
}
