// A finished tile of a product, M x N, on its way to memory: rounded to bf16 and laid out in shared memory,
// so that neighbouring threads write neighbouring 16 bytes, and batch norm's statistics can be taken of
// it. For the first THREADS threads of a block, whole warps.
#pragma once
#include "ptx.cuh"

constexpr u32 CHUNK = 8;  // bf16 in 16 bytes

DEVICE void store_chunk(bf16* at, const uint4& chunk) { *reinterpret_cast<uint4*>(at) = chunk; }
DEVICE uint4 load_chunk(const bf16* at) { return *reinterpret_cast<const uint4*>(at); }
DEVICE float low_half(u32 pair) { return __uint_as_float(pair << 16); }
DEVICE float high_half(u32 pair) { return __uint_as_float(pair & 0xffff0000u); }
DEVICE u32 sum_of(u32 a, u32 b) { return pack_bf16(low_half(a) + low_half(b), high_half(a) + high_half(b)); }
DEVICE uint4 sum_of(const uint4& a, const uint4& b) {
  return make_uint4(sum_of(a.x, b.x), sum_of(a.y, b.y), sum_of(a.z, b.z), sum_of(a.w, b.w));
}

template <u32 M, u32 N, u32 THREADS>
struct TileOutput {
  static constexpr u32 PITCH = 2 * N + 16;  // bytes between rows: banks shifted
  static constexpr u32 BYTES = M * PITCH;

  DEVICE static void sync() { barrier_sync(1, THREADS); }

  DEVICE static void put(u8* shared, u32 row, u32 column, float first, float second) {
    *reinterpret_cast<u32*>(shared + row * PITCH + 2 * column) = pack_bf16(first, second);
  }

  // Calls body(row, column, chunk) for all chunks of the tile.
  template <class Body>
  DEVICE static void for_each_chunk(const u8* shared, Body body) {
    for (u32 i = threadIdx.x; i < M * N / CHUNK; i += THREADS) {
      const u32 row = i / (N / CHUNK), chunk = i % (N / CHUNK);
      body(row, chunk * CHUNK, *reinterpret_cast<const uint4*>(shared + row * PITCH + 16 * chunk));
    }
  }

  // Of each of the first `columns` columns, the mean over the first `rows` rows and the sum of squared
  // differences from it, as batch_norm_statistics has them. mean, squares: at column 0.
  DEVICE static void statistics(const u8* shared, u32 rows, u32 columns, float* mean, float* squares) {
    constexpr u32 PARTS = 2 * THREADS / N;  // threads that share a pair of columns
    SHARED_ARRAY(float, parts, PARTS * N * 2);
    const u32 pair = threadIdx.x % (N / 2), part = threadIdx.x / (N / 2);
    auto at = [&](u32 row) { return *reinterpret_cast<const u32*>(shared + row * PITCH + 4 * pair); };
    // Differences from the first row: squares of the values themselves would cancel.
    const u32 origin = at(0);
    const float low = low_half(origin), high = high_half(origin);
    float sum_low = 0.0f, sum_high = 0.0f, squares_low = 0.0f, squares_high = 0.0f;
    for (u32 row = part; row < rows; row += PARTS) {
      const u32 values = at(row);
      const float d = low_half(values) - low, e = high_half(values) - high;
      sum_low += d, squares_low += d * d, sum_high += e, squares_high += e * e;
    }
    float* own = parts + (part * N + 2 * pair) * 2;
    own[0] = sum_low, own[1] = squares_low, own[2] = sum_high, own[3] = squares_high;
    sync();
    for (u32 column = threadIdx.x; column < N && column < columns; column += THREADS) {
      float sum = 0.0f, square = 0.0f;
      for (u32 i = 0; i < PARTS; i++) sum += parts[(i * N + column) * 2], square += parts[(i * N + column) * 2 + 1];
      const bf16 first = *reinterpret_cast<const bf16*>(shared + 2 * column);
      mean[column] = to_float(first) + sum / float(rows);
      squares[column] = fmaxf(square - sum * sum / float(rows), 0.0f);
    }
  }
};
