// batch_norm_relu_max_pool: y = max_pool(max(batch_norm(x), 0)) over windows of 3 x 3 at stride 2, one pixel
// of padding around the image: the end of the stem. The activation before the pool, four times y, is never
// in memory, and neither is its gradient. Its statistics are batch_norm's.
#include "batch_norm.cuh"

constexpr u32 WINDOW = 3;
constexpr u32 NOBODY = WINDOW * WINDOW;  // the index of a window of nothing above 0: no gradient passes it
constexpr u32 LINES = sizeof(real) == 2 ? WINDOW : 1;  // of a window, loaded before the first is used

// Calls body(image, y, x) for this thread's outputs: a block takes neighbouring rows of them, which share lines
// of x, its threads down neighbours of one row.
template <Order ORDER, typename Body>
DEVICE void each_output(u32 images, u32 out_height, u32 out_width, Body body) {
  const u32 rows = images * out_height, share = (rows + gridDim.y - 1) / gridDim.y;
  for (u32 i = 0, place = blockIdx.y * share; i < share && place < rows; ++i, ++place) {
    const u32 row = ORDER == FORTH ? place : rows - 1 - place;
    const u32 image = row / out_height, y = row % out_height;
    for (u32 x = threadIdx.y; x < out_width; x += blockDim.y) body(image, y, x);
  }
}

// x (images, height, width, channels) real; statistics (2, channels); gamma, beta (channels). Of the pooled
// shape, (images, half height, half width, channels), halves rounded up: y real; winner real, the x that
// y came from; index u8, its place in its window, row by row, the first of equals, or NOBODY where y is 0.
// A thread: a pack of channels of some outputs.
struct BatchNormReluMaxPoolForward {
  const real* x; const float* statistics; const float* gamma; const float* beta; real* y;
  real* winner; u8* index; u32 images, height, width, channels;
};

KERNEL_BOUNDS(batch_norm_relu_max_pool_forward, BatchNormReluMaxPoolForward, RESIDENT(BLOCK, 2)) {
  const u32 out_height = (p.height + 1) / 2, out_width = (p.width + 1) / 2;
  with_lanes(blockIdx.x * blockDim.x + threadIdx.x, p.channels, [&](Lane lane) {
    const Affine a = affine(lane, p.statistics, p.gamma, p.beta, p.channels);
    each_output<BACK>(p.images, out_height, out_width, [&](u32 image, u32 out_y, u32 out_x) {
      Pack<float> best = {};
      Pack<real> winner = {};
      u32 index[PACK];
#pragma unroll
      for (u32 i = 0; i < PACK; ++i) index[i] = NOBODY;
#pragma unroll
      for (u32 line = 0; line < WINDOW; line += LINES) {
        Pack<real> x[LINES * WINDOW] = {};
        // Counted from one pixel before the image, which has wrapped around and is not below its size.
        auto in_y = [&](u32 k) { return 2 * out_y + line + k / WINDOW - 1; };
        auto in_x = [&](u32 k) { return 2 * out_x + k % WINDOW - 1; };
        auto inside = [&](u32 k) { return in_y(k) < p.height && in_x(k) < p.width; };
#pragma unroll
        for (u32 k = 0; k < LINES * WINDOW; ++k) {
          const u64 pixel = (u64(image) * p.height + in_y(k)) * p.width + in_x(k);
          if (inside(k)) x[k] = lane.load(p.x + pixel * p.channels);
        }
#pragma unroll
        for (u32 k = 0; k < LINES * WINDOW; ++k)
#pragma unroll
          for (u32 i = 0; i < PACK; ++i) {
            const float v = apply(a, i, to_float(x[k].at[i]));
            if (!inside(k) || !(v > best.at[i])) continue;
            best.at[i] = v;  // compared before it is rounded
            winner.at[i] = x[k].at[i];
            index[i] = line * WINDOW + k;
          }
      }
      Pack<u8> places;
#pragma unroll
      for (u32 i = 0; i < PACK; ++i) places.at[i] = u8(index[i]);
      const u64 at = ((u64(image) * out_height + out_y) * out_width + out_x) * p.channels;
      lane.store(p.y + at, to_reals(best));
      lane.store(p.winner + at, winner);
      lane.store(p.index + at, places);
    });
  });
}

// batch_norm_sums over the winners: whoever won nothing has no gradient. winner, dy (rows, channels) real, a
// row an output; index u8; statistics (2, channels); partial (chunks, 2, channels). A block: up to 32 packs
// of channels of one chunk.
struct BatchNormReluMaxPoolSums {
  const real* winner; const u8* index; const real* dy; const float* statistics; float* partial;
  u32 rows, channels, chunk_rows;
};

KERNEL_BOUNDS(batch_norm_relu_max_pool_sums, BatchNormReluMaxPoolSums, RESIDENT(BLOCK, 3)) {
  struct Input { Pack<real> winner, dy; Pack<u8> index; };
  const u32 chunk = chunk_of_block<BACK>();
  Pairs sums = {};
  with_channels(p.channels, [&](Lane lane) {
    const Pack<float> mean = lane.load(p.statistics);
    walk_chunk<ROWS_OF_MORE>(lane, chunk, p.rows, p.chunk_rows,
        [&](u64 row) {
          const u64 at = row * p.channels;
          return Input{lane.load(p.winner + at), lane.load(p.dy + at), lane.load(p.index + at)};
        },
        [&](u64, const Input& in) {
#pragma unroll
          for (u32 i = 0; i < PACK; ++i) {
            const float dy = in.index.at[i] == NOBODY ? 0.0f : to_float(in.dy.at[i]);
            add(sums, i, dy, dy * (to_float(in.winner.at[i]) - mean.at[i]));
          }
        });
  });
  store_chunk(p.partial, chunk, p.channels, sums, [](u32, Pair sum) { return sum; });
}

// As batch_norm_backward, of the sum of dy over the windows that an x won. index, dy of the pooled shape;
// x, dx (images, height, width, channels) real; the rest (channels). A thread: the 2 x 2 pixels at twice an
// output's place, for a pack of channels. Only that output's window and its neighbours below and to the
// right reach them, so each window is read by four threads, and adding up needs no atomics.
struct BatchNormReluMaxPoolBackward {
  const real* x; const u8* index; const real* dy; const float* statistics; const float* gamma;
  const float* dgamma; const float* dbeta; real* dx; u32 images, height, width, channels;
  float inverse_rows;
};

KERNEL_BOUNDS(batch_norm_relu_max_pool_backward, BatchNormReluMaxPoolBackward, RESIDENT(BLOCK, 2)) {
  const u32 out_height = (p.height + 1) / 2, out_width = (p.width + 1) / 2;
  with_lanes(blockIdx.x * blockDim.x + threadIdx.x, p.channels, [&](Lane lane) {
    const Affine a = affine(lane, p.statistics, p.gamma, nullptr, p.channels);
    const Along parts = along(lane, p.statistics, p.dgamma, p.dbeta, p.channels, p.inverse_rows);
    each_output<FORTH>(p.images, out_height, out_width, [&](u32 image, u32 out_y, u32 out_x) {
      // By twos: those that exist of the windows [below][right], and of the pixels [lower][later].
      Pack<real> dy[4] = {}, x[4] = {};
      Pack<u8> index[4] = {};
#pragma unroll
      for (u32 k = 0; k < 4; ++k) {
        const u32 y = out_y + k / 2, right = out_x + k % 2;
        const u64 at = ((u64(image) * out_height + y) * out_width + right) * p.channels;
        if (y >= out_height || right >= out_width) continue;  // its dy stays 0
        dy[k] = lane.load(p.dy + at);
        index[k] = lane.load(p.index + at);
      }
      auto pixel = [&](u32 k) {
        return ((u64(image) * p.height + 2 * out_y + k / 2) * p.width + 2 * out_x + k % 2) * p.channels;
      };
      auto exists = [&](u32 k) {
        return 2 * out_y + k / 2 < p.height && 2 * out_x + k % 2 < p.width;
      };
#pragma unroll
      for (u32 k = 0; k < 4; ++k)
        if (exists(k)) x[k] = lane.load(p.x + pixel(k));
      Pack<float> dx[4];
#pragma unroll
      for (u32 i = 0; i < PACK; ++i)  // channel by channel: what is unpacked of one is soon forgotten
#pragma unroll
        for (u32 k = 0; k < 4; ++k) {
          float sum = 0.0f;
#pragma unroll
          for (u32 window = 0; window <= k; ++window) {
            const u32 lower = k / 2, later = k % 2, below = window / 2, right = window % 2;
            if (below > lower || right > later) continue;
            const u32 place = (lower + 1 - 2 * below) * WINDOW + later + 1 - 2 * right;
            if (index[window].at[i] == place) sum += to_float(dy[window].at[i]);
          }
          dx[k].at[i] = backward(a, parts, i, to_float(x[k].at[i]), sum);
        }
#pragma unroll
      for (u32 k = 0; k < 4; ++k)
        if (exists(k)) lane.store(p.dx + pixel(k), to_reals(dx[k]));
    });
  });
}
