// Batch normalisation's shared parts. An activation is (rows, channels), channels last; a block owns 32
// channels, one a lane, so that a warp reads 32 neighbours, and its 8 warps take rows in turn.
#pragma once
#include "common.cuh"

constexpr u32 ROW_LANES = 8;
constexpr u32 COMBINE_LANES = 16;

struct Pair { float first, second; };

// y = (x - mean) * scale + shift: the subtraction comes first, for the mean may dwarf the deviation.
struct Affine { float mean, inv_std, scale, shift; };

DEVICE Affine affine(const float* statistics, const float* gamma, const float* beta, u32 channel,
                     u32 channels) {
  const float inv_std = statistics[channels + channel];
  const float shift = beta == nullptr ? 0.0f : beta[channel];
  return {statistics[channel], inv_std, gamma[channel] * inv_std, shift};
}
// One expression in forward and backward, so that relu's mask is the same bits in both.
DEVICE float apply(const Affine& a, float x) { return fmaf(x - a.mean, a.scale, a.shift); }

// Calls body(i) for every row of this lane's channel, rows strided over the grid's y; i the element.
template <typename Body>
DEVICE void for_each_row(u32 rows, u32 channels, u32 channel, Body body) {
  const u64 step = u64(gridDim.y) * ROW_LANES;
  for (u64 row = u64(blockIdx.y) * ROW_LANES + threadIdx.y; row < rows; row += step)
    body(row * channels + channel);
}

// Sums body(i) over chunk blockIdx.y of this lane's channel. The sum is right in warp 0 alone.
template <typename Body>
DEVICE Pair sum_chunk(u32 rows, u32 channels, u32 chunk_rows, Body body) {
  SHARED_ARRAY(float, first, ROW_LANES * WARP);
  SHARED_ARRAY(float, second, ROW_LANES * WARP);
  const u32 channel = blockIdx.x * WARP + threadIdx.x;
  const u64 start = u64(blockIdx.y) * chunk_rows;
  const u64 end = start + chunk_rows < rows ? start + chunk_rows : rows;
  Pair sum = {0.0f, 0.0f};
  if (channel < channels)
    for (u64 row = start + threadIdx.y; row < end; row += ROW_LANES) {
      const Pair term = body(row * channels + channel);
      sum.first += term.first;
      sum.second += term.second;
    }
  first[threadIdx.y * WARP + threadIdx.x] = sum.first;
  second[threadIdx.y * WARP + threadIdx.x] = sum.second;
  __syncthreads();
  if (threadIdx.y == 0)
    for (u32 lane = 1; lane < ROW_LANES; ++lane) {
      sum.first += first[lane * WARP + threadIdx.x];
      sum.second += second[lane * WARP + threadIdx.x];
    }
  return sum;
}

// partial (chunks, 2, channels): where warp 0 leaves what `sum_chunk` found.
DEVICE void store_chunk(float* partial, u32 channels, Pair sum) {
  const u32 channel = blockIdx.x * WARP + threadIdx.x;
  if (threadIdx.y > 0 || channel >= channels) return;
  float* row = partial + u64(blockIdx.y) * 2 * channels;
  row[channel] = sum.first;
  row[channels + channel] = sum.second;
}

// Sums body(chunk) over all chunks, each of COMBINE_LANES warps taking every 16th in order, then the
// warps in order; every warp gets the sum.
template <typename Body>
DEVICE Pair sum_over_chunks(u32 chunks, Body body) {
  SHARED_ARRAY(float, first, COMBINE_LANES * WARP);
  SHARED_ARRAY(float, second, COMBINE_LANES * WARP);
  Pair sum = {0.0f, 0.0f};
  for (u32 chunk = threadIdx.y; chunk < chunks; chunk += COMBINE_LANES) {
    const Pair term = body(chunk);
    sum.first += term.first;
    sum.second += term.second;
  }
  first[threadIdx.y * WARP + threadIdx.x] = sum.first;
  second[threadIdx.y * WARP + threadIdx.x] = sum.second;
  __syncthreads();
  sum = {0.0f, 0.0f};
  for (u32 lane = 0; lane < COMBINE_LANES; ++lane) {
    sum.first += first[lane * WARP + threadIdx.x];
    sum.second += second[lane * WARP + threadIdx.x];
  }
  __syncthreads();  // the arrays may be reused by the next call
  return sum;
}
