// batch_norm_add_relu: y = max(batch_norm(x) + residual, 0): the end of a residual block.
#include "batch_norm.cuh"

// x, residual, y (rows, channels) real; statistics (2, channels); gamma, beta (channels); mask (rows,
// packs): a byte a pack of 8 channels, bit i of it whether y of the pack's channel i is above 0. A thread:
// a pack of channels of some rows.
struct BatchNormAddReluForward {
  const real* x; const real* residual; const float* statistics; const float* gamma;
  const float* beta; real* y; u8* mask; u32 rows, channels;
};

KERNEL_BOUNDS(batch_norm_add_relu_forward, BatchNormAddReluForward, RESIDENT(BLOCK, 4)) {
  struct Input { Pack<real> x, residual; };
  const u32 packs = (p.channels + PACK - 1) / PACK;
  with_channels(p.channels, [&](Lane lane) {
    const Affine a = affine(lane, p.statistics, p.gamma, p.beta, p.channels);
    walk_rows<BACK, ROWS_OF_MORE>(lane, p.rows,
        [&](u64 row) {
          const u64 at = row * p.channels;
          return Input{lane.load(p.x + at), lane.load(p.residual + at)};
        },
        [&](u64 row, const Input& in) {
          const Pack<real> y = to_reals(pack_of([&](u32 i) {
            return fmaxf(apply(a, i, to_float(in.x.at[i])) + to_float(in.residual.at[i]), 0.0f);
          }));
          u32 mask = 0;
#pragma unroll
          for (u32 i = 0; i < PACK; ++i)
            if (i < lane.count && to_float(y.at[i]) > 0.0f) mask |= 1u << i;
          lane.store(p.y + row * p.channels, y);
          p.mask[row * packs + lane.first / PACK] = u8(mask);
        });
  });
}

// dresidual = dy where y > 0, else 0; and batch_norm_sums of it. What is left of backward is then
// batch_norm_backward of dresidual. x, dy, dresidual (rows, channels) real; mask (rows, packs), as forward
// left it; partial (chunks, 2, channels). A block: up to 32 packs of channels of one chunk.
struct BatchNormAddReluSums {
  const real* x; const u8* mask; const real* dy; const float* statistics; real* dresidual;
  float* partial; u32 rows, channels, chunk_rows;
};

KERNEL_BOUNDS(batch_norm_add_relu_sums, BatchNormAddReluSums, RESIDENT(BLOCK, 3)) {
  struct Input { Pack<real> x, dy; u8 mask; };
  const u32 packs = (p.channels + PACK - 1) / PACK;
  const u32 chunk = chunk_of_block<BACK>();
  Pairs sums = {};
  with_channels(p.channels, [&](Lane lane) {
    const Pack<float> mean = lane.load(p.statistics);
    walk_chunk<ROWS_OF_MORE>(lane, chunk, p.rows, p.chunk_rows,
        [&](u64 row) {
          const u64 at = row * p.channels;
          return Input{lane.load(p.x + at), lane.load(p.dy + at),
                       p.mask[row * packs + lane.first / PACK]};
        },
        [&](u64 row, const Input& in) {
          Pack<real> masked;
#pragma unroll
          for (u32 i = 0; i < PACK; ++i) {
            masked.at[i] = in.mask >> i & 1 ? in.dy.at[i] : to_real(0.0f);
            const float dy = to_float(masked.at[i]);
            add(sums, i, dy, dy * (to_float(in.x.at[i]) - mean.at[i]));
          }
          lane.store(p.dresidual + row * p.channels, masked);
        });
  });
  store_chunk(p.partial, chunk, p.channels, sums, [](u32, Pair sum) { return sum; });
}
