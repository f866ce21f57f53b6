// batch_norm_relu: y = max(batch_norm(x), 0). Its statistics are batch_norm's.
#include "batch_norm.cuh"

// x, y (rows, channels) real; statistics (2, channels); gamma, beta (channels). A thread: a pack of
// channels of some rows.
struct BatchNormReluForward {
  const real* x; const float* statistics; const float* gamma; const float* beta; real* y;
  u32 rows, channels;
};

KERNEL_BOUNDS(batch_norm_relu_forward, BatchNormReluForward, RESIDENT(BLOCK, 4)) {
  with_channels(p.channels, [&](Lane lane) {
    const Affine a = affine(lane, p.statistics, p.gamma, p.beta, p.channels);
    walk_rows<BACK, ROWS_OF_ONE>(lane, p.rows,
        [&](u64 row) { return lane.load(p.x + row * p.channels); },
        [&](u64 row, const Pack<real>& x) {
          const auto y = pack_of([&](u32 i) { return fmaxf(apply(a, i, to_float(x.at[i])), 0.0f); });
          lane.store(p.y + row * p.channels, to_reals(y));
        });
  });
}

// As batch_norm_sums, of dy where y > 0. y is computed again from x: cheaper than reading it.
// x, dy (rows, channels) real; partial (chunks, 2, channels). A block: up to 32 packs of channels of one
// chunk.
struct BatchNormReluSums {
  const real* x; const real* dy; const float* statistics; const float* gamma; const float* beta;
  float* partial; u32 rows, channels, chunk_rows;
};

KERNEL_BOUNDS(batch_norm_relu_sums, BatchNormReluSums, RESIDENT(BLOCK, 3)) {
  const u32 chunk = chunk_of_block<BACK>();
  Pairs sums = {};
  with_channels(p.channels, [&](Lane lane) {
    const Affine a = affine(lane, p.statistics, p.gamma, p.beta, p.channels);
    walk_chunk<ROWS_OF_MORE>(lane, chunk, p.rows, p.chunk_rows, LoadRow{lane, p.x, p.dy, p.channels},
        [&](u64, const Row& in) {
#pragma unroll
          for (u32 i = 0; i < PACK; ++i) {
            const float x = to_float(in.x.at[i]);
            const float dy = apply(a, i, x) > 0.0f ? to_float(in.dy.at[i]) : 0.0f;
            add(sums, i, dy, dy * (x - a.mean.at[i]));
          }
        });
  });
  store_chunk(p.partial, chunk, p.channels, sums, [](u32, Pair sum) { return sum; });
}

// As batch_norm_backward, of dy where y > 0. x, dy, dx (rows, channels) real; the rest (channels).
// A thread: a pack of channels of some rows.
struct BatchNormReluBackward {
  const real* x; const real* dy; const float* statistics; const float* gamma; const float* beta;
  const float* dgamma; const float* dbeta; real* dx; u32 rows, channels; float inverse_rows;
};

KERNEL_BOUNDS(batch_norm_relu_backward, BatchNormReluBackward, RESIDENT(BLOCK, 3)) {
  with_channels(p.channels, [&](Lane lane) {
    const Affine a = affine(lane, p.statistics, p.gamma, p.beta, p.channels);
    const Along parts = along(lane, p.statistics, p.dgamma, p.dbeta, p.channels, p.inverse_rows);
    walk_rows<FORTH, ROWS_OF_MORE>(lane, p.rows, LoadRow{lane, p.x, p.dy, p.channels},
        [&](u64 row, const Row& in) {
          const auto dx = pack_of([&](u32 i) {
            const float x = to_float(in.x.at[i]);
            const float dy = apply(a, i, x) > 0.0f ? to_float(in.dy.at[i]) : 0.0f;
            return backward(a, parts, i, x, dy);
          });
          lane.store(p.dx + row * p.channels, to_reals(dx));
        });
  });
}
