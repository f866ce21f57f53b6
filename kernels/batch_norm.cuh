// Batch normalisation's shared parts. An activation is (rows, channels), channels last. A thread owns a pack
// of channels, keeps what belongs to them in registers and walks down rows; a block is (packs, down), as
// wide as a row is up to 32 packs, so that neighbouring threads always meet neighbouring memory.
#pragma once
#include "pack.cuh"

constexpr u32 BLOCK = 256;             // threads, at most
// Rows in flight a thread, where one tensor is read, or several: 64 bytes a thread either way, 48 KB or more
// on a multiprocessor, twice what its share of the memory moves while one load is under way.
constexpr u32 ROWS_OF_ONE = 8 / sizeof(real), ROWS_OF_MORE = 4 / sizeof(real);
constexpr u32 COMBINE_CHANNELS = 8;    // of a block of batch_norm_combine: a 32-byte sector
constexpr u32 COMBINE_LANES = 128;     // threads to each of them

struct Pair { float first, second; };
struct Pairs { Pack<float> first, second; };

// y = (x - mean) * scale + shift: the subtraction comes first, for the mean may dwarf the deviation.
struct Affine { Pack<float> mean, scale, shift; };

DEVICE Affine affine(Lane lane, const float* statistics, const float* gamma, const float* beta,
                     u32 channels) {
  const Pack<float> inv_std = lane.load(statistics + channels), factor = lane.load(gamma);
  const Pack<float> scale = pack_of([&](u32 i) { return factor.at[i] * inv_std.at[i]; });
  return {lane.load(statistics), scale, beta == nullptr ? Pack<float>{} : lane.load(beta)};
}
// One expression in forward and backward, so that relu's mask is the same bits in both.
DEVICE float apply(const Affine& a, u32 i, float x) {
  return fmaf(x - a.mean.at[i], a.scale.at[i], a.shift.at[i]);
}

// The parts of dy along x and along 1, a row: dx = scale (dy - one - (x - mean) x).
struct Along { Pack<float> x, one; };

DEVICE Along along(Lane lane, const float* statistics, const float* dgamma, const float* dbeta,
                   u32 channels, float inverse_rows) {
  const Pack<float> inv_std = lane.load(statistics + channels);
  const Pack<float> gamma = lane.load(dgamma), beta = lane.load(dbeta);
  return {pack_of([&](u32 i) { return inv_std.at[i] * gamma.at[i] * inverse_rows; }),
          pack_of([&](u32 i) { return beta.at[i] * inverse_rows; })};
}
DEVICE float backward(const Affine& a, const Along& along, u32 i, float x, float dy) {
  return a.scale.at[i] * (dy - along.one.at[i] - (x - a.mean.at[i]) * along.x.at[i]);
}

// This thread's pack of channels, if it has one.
template <typename Body>
DEVICE void with_channels(u32 channels, Body body) {
  with_lane(blockIdx.x * blockDim.x + threadIdx.x, channels, body);
}
// The order of rows, first to last or last to first, costs nothing, and what the kernel before touched last
// is still in L2 (50 MB of an H100): each begins where that one ended. Convolutions go forth, and so do
// batch_norm_statistics; what normalises goes back. A gradient was written forth; its sums are taken going
// back, and dx is made going forth again, from the rows those sums have just seen.
// (Slices of channels that fit into L2 whole would read x and dy once. By estimate they lose: three launches
// a slice are some 10 us with their gaps and tails, and 16 MB read once less is 4 to 5 us.)
enum Order { FORTH, BACK };

// Every row of this thread's in one chunk of them.
template <u32 ROWS, typename Load, typename Use>
DEVICE void walk_chunk(Lane lane, u32 chunk, u32 rows, u64 chunk_rows, Load load, Use use) {
  const u64 start = chunk * chunk_rows;
  const u64 end = start + chunk_rows < rows ? start + chunk_rows : rows;
  walk<ROWS>(lane.whole, start + threadIdx.y, blockDim.y, end, ROWS * blockDim.y, load, use);
}
template <Order ORDER> DEVICE u32 chunk_of_block() {
  return ORDER == FORTH ? blockIdx.y : gridDim.y - 1 - blockIdx.y;
}
// Every row of this thread's, where the grid shares all rows: blocks start in the order of their numbers, so
// each takes neighbouring rows, and the whole device moves through them in order.
template <Order ORDER, u32 ROWS, typename Load, typename Use>
DEVICE void walk_rows(Lane lane, u32 rows, Load load, Use use) {
  const u64 round = ROWS * blockDim.y, of_all = gridDim.y * round;
  const u64 share = (rows + of_all - 1) / of_all * round;
  auto row_at = [&](u64 place) { return ORDER == FORTH ? place : rows - 1 - place; };
  walk_chunk<ROWS>(lane, blockIdx.y, rows, share,
      [&](u64 place) { return load(row_at(place)); },
      [&](u64 place, const decltype(load(u64()))& in) { use(row_at(place), in); });
}

// What is read of a row going backward: a pack of x and of the gradient, both (rows, channels).
struct Row { Pack<real> x, dy; };
struct LoadRow {
  Lane lane; const real* x; const real* dy; u32 channels;
  DEVICE Row operator()(u64 row) const {
    return {lane.load(x + row * channels), lane.load(dy + row * channels)};
  }
};

DEVICE void add(Pairs& sums, u32 i, float first, float second) {
  sums.first.at[i] += first;
  sums.second.at[i] += second;
}

// partial (chunks, 2, channels), its row `chunk`: finish(channel, sums over the block's threads, in order).
template <typename Finish>
DEVICE void store_chunk(float* partial, u32 chunk, u32 channels, const Pairs& sums, Finish finish) {
  constexpr u32 ROW = BLOCK + 8;  // + 8: the 8 sums of a thread are then read from different banks
  SHARED_ARRAY(float, shared, 2 * PACK * ROW);
  const u32 thread = threadIdx.y * blockDim.x + threadIdx.x;
#pragma unroll
  for (u32 i = 0; i < PACK; ++i) {
    shared[i * ROW + thread] = sums.first.at[i];
    shared[(PACK + i) * ROW + thread] = sums.second.at[i];
  }
  __syncthreads();
  float* row = partial + u64(chunk) * 2 * channels;
  for (u32 at = thread; at < blockDim.x * PACK; at += blockDim.x * blockDim.y) {
    const u32 channel = blockIdx.x * blockDim.x * PACK + at;
    if (channel >= channels) break;
    const float* column = shared + at % PACK * ROW + at / PACK;
    Pair sum = {0.0f, 0.0f};
#pragma unroll 4
    for (u32 y = 0; y < blockDim.y; ++y) {
      sum.first += column[y * blockDim.x];
      sum.second += column[PACK * ROW + y * blockDim.x];
    }
    sum = finish(channel, sum);
    row[channel] = sum.first;
    row[channels + channel] = sum.second;
  }
}

// Sums body(chunk) over all chunks, for one channel a threadIdx.x: each of COMBINE_LANES threads takes every
// 128th in order, then lanes and warps in a fixed order. Right where threadIdx.y is 0.
template <typename Body>
DEVICE Pair sum_over_chunks(u32 chunks, Body body) {
  constexpr u32 WARPS = COMBINE_CHANNELS * COMBINE_LANES / WARP;
  SHARED_ARRAY(float, first, WARPS * COMBINE_CHANNELS);
  SHARED_ARRAY(float, second, WARPS * COMBINE_CHANNELS);
  Pair sum = {0.0f, 0.0f};
#pragma unroll 4
  for (u32 chunk = threadIdx.y; chunk < chunks; chunk += COMBINE_LANES) {
    const Pair term = body(chunk);
    sum.first += term.first;
    sum.second += term.second;
  }
  for (u32 step = COMBINE_CHANNELS; step < WARP; step *= 2) {
    sum.first += __shfl_xor_sync(ALL_LANES, sum.first, step);
    sum.second += __shfl_xor_sync(ALL_LANES, sum.second, step);
  }
  constexpr u32 ROWS_OF_WARP = WARP / COMBINE_CHANNELS;
  if (threadIdx.y % ROWS_OF_WARP == 0) {
    const u32 at = threadIdx.y / ROWS_OF_WARP * COMBINE_CHANNELS + threadIdx.x;
    first[at] = sum.first;
    second[at] = sum.second;
  }
  __syncthreads();
  if (threadIdx.y > 0) return sum;
  sum = {0.0f, 0.0f};
  for (u32 warp = 0; warp < WARPS; ++warp) {
    sum.first += first[warp * COMBINE_CHANNELS + threadIdx.x];
    sum.second += second[warp * COMBINE_CHANNELS + threadIdx.x];
  }
  return sum;
}
