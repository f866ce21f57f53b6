// conv2d by compute capability 9.0: the copy engine unfolds windows as it reads (its im2col mode), for 64
// channels of 128 or 64 pixels at a time, so that c and k are multiples of 64. The maps are made in
// src/ops/conv2d/maps.rs.
#pragma once
#include "conv2d_mma.cuh"
#include "wgmma_tile.cuh"

constexpr u32 WIDE_CHANNELS = 64;  // 128 bytes, what a swizzle spans

// The pixel at `row` of (n, rows, columns): where the copy engine starts its walk.
struct Start {
  i32 n, i, j;
  DEVICE Start(u32 row, u32 rows, u32 columns) {
    j = i32(row % columns), i = i32(row / columns % rows), n = i32(row / columns / rows);
  }
};

// maps: x by 128 output pixels, weight (k, (r, s, c)) by 64 columns of N rows.
template <u32 N, u32 STAGES>
DEVICE void forward_wgmma(const TensorMap (&maps)[2], const Conv2dForward& p) {
  DYNAMIC_SHARED_ALIGNED(u8, shared, 1024);
  const Window& g = p.g;
  const Place at(128, N, g.k);
  const Start start(at.row0, g.p, g.q);
  const u32 groups = g.c / WIDE_CHANNELS;
  WgmmaTile<128, N, K_MAJOR, K_MAJOR, STAGES> tile;
  const bool consumes = tile.product(shared, g.r * g.s * groups, [&](u32 step, u8* rows, u8* columns, u64* barrier) {
    const u32 tap = step / groups, c = step % groups * WIDE_CHANNELS;
    tensor_load_im2col(rows, maps[0], barrier, i32(c), start.j * i32(g.stride) - i32(g.padding),
                       start.i * i32(g.stride) - i32(g.padding), start.n, u16(tap % g.s), u16(tap / g.s));
    const i32 from[2] = {i32(step * WIDE_CHANNELS), i32(at.col0)};
    tensor_load(columns, maps[1], barrier, from);
  });
  if (!consumes) return;
  tile.round_to(shared);
  put_forward<128, N, WGMMA_CONSUMERS>(p, shared, at);
}

// maps: the weight (k, (r, s), c) by 64 c of a tap of 64 k, and for each phase dy by 128 of its pixels.
template <u32 N, u32 STAGES>
DEVICE void input_gradient_wgmma(const TensorMap (&maps)[5], const Conv2dInputGradient& p) {
  DYNAMIC_SHARED_ALIGNED(u8, shared, 1024);
  const Window& g = p.g;
  const Phase phase(g, blockIdx.y);
  const Place at(128, N, g.c);
  if (at.row0 >= g.n * phase.rows * phase.columns) return;  // phases differ by a row or a column of pixels
  const Start start(at.row0, phase.rows, phase.columns);
  const u32 groups = g.k / WIDE_CHANNELS;
  WgmmaTile<128, N, K_MAJOR, MN_MAJOR, STAGES> tile;
  const u32 steps = phase.taps_r * phase.taps_s * groups;
  const bool consumes = tile.product(shared, steps, [&](u32 step, u8* rows, u8* columns, u64* barrier) {
    const u32 tap = step / groups, r = tap / phase.taps_s, s = tap % phase.taps_s;
    const i32 k = i32(step % groups * WIDE_CHANNELS);
    // The walk begins at the first output pixel that any tap comes from, which is the last tap's.
    const i32 first_p = phase.p - i32(phase.taps_r - 1), first_q = phase.q - i32(phase.taps_s - 1);
    tensor_load_im2col(rows, maps[1 + blockIdx.y], barrier, k, first_q + start.j, first_p + start.i, start.n,
                       u16(phase.taps_s - 1 - s), u16(phase.taps_r - 1 - r));
    const i32 weight_tap = i32((phase.first_r + r * g.stride) * g.s + phase.first_s + s * g.stride);
    for (u32 panel = 0; panel < N / 64; panel++) {
      const i32 from[3] = {i32(at.col0 + panel * 64), weight_tap, k};
      tensor_load(columns + panel * PANEL_BYTES, maps[0], barrier, from);
    }
  });
  if (!consumes) return;
  tile.round_to(shared);
  put_input_gradient<128, N, WGMMA_CONSUMERS>(p, shared, at, phase);
}

// maps: dy (pixels, k) by 64 k of 64 pixels, x by 64 output pixels.
template <u32 M, u32 N, u32 STAGES>
DEVICE void weight_gradient_wgmma(const TensorMap (&maps)[2], const Conv2dWeightGradient& p) {
  DYNAMIC_SHARED_ALIGNED(u8, shared, 1024);
  const Window& g = p.g;
  const u32 columns_end = g.r * g.s * g.c;
  const Place at(M, N, columns_end);
  const u32 begin = blockIdx.y * p.range, end = min(begin + p.range, g.n * g.p * g.q);
  WgmmaTile<M, N, MN_MAJOR, MN_MAJOR, STAGES> tile;
  const u32 steps = (end - begin + WGMMA_DEPTH - 1) / WGMMA_DEPTH;
  const bool consumes = tile.product(shared, steps, [&](u32 step, u8* rows, u8* columns, u64* barrier) {
    const u32 pixel = begin + step * WGMMA_DEPTH;
    for (u32 panel = 0; panel < M / 64; panel++) {
      const i32 from[2] = {i32(at.row0 + panel * 64), i32(pixel)};
      tensor_load(rows + panel * PANEL_BYTES, maps[0], barrier, from);
    }
    const Start start(pixel, g.p, g.q);
    for (u32 panel = 0; panel < N / 64; panel++) {
      // Past the last column any will do: nobody looks at their sums.
      const u32 column = min(at.col0 + panel * 64, columns_end - WIDE_CHANNELS);
      const u32 tap = column / g.c;
      tensor_load_im2col(columns + panel * PANEL_BYTES, maps[1], barrier, i32(column % g.c),
                         start.j * i32(g.stride) - i32(g.padding), start.i * i32(g.stride) - i32(g.padding),
                         start.n, u16(tap % g.s), u16(tap / g.s));
    }
  });
  if (!consumes) return;
  tile.for_each_pair([&](u32 row, u32 column, float first, float second) {
    put_partial(p, at.row0 + row, at.col0 + column, first, second);
  });
}
