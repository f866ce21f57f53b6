// A 64 x 64 tile of a matrix product, by 256 threads, 16 columns of the sum at a time: what matmul and
// the plain convolutions share. Operands are read through functors, so a convolution's operand is its
// own gather and nothing is stored unfolded.
#pragma once
#include "common.cuh"

constexpr u32 TILE = 64, DEPTH = 16, TILE_THREADS = 256;
constexpr u32 PITCH = TILE + 4;  // floats between rows of a staged tile: 16-byte aligned, banks shifted

// sum[i][j] += sum over k in [begin, end) of a(row, k) * b(k, col), for this thread's rows
// row0 + 4 ty + i and columns col0 + 4 tx + j. A functor returns 0 outside its operand; ALONG_K says
// which index runs contiguously in memory, and neighbouring threads follow it.
template <class A, class B>
DEVICE void tile_product(u32 row0, u32 col0, u32 begin, u32 end, const A& a, const B& b, float (&sum)[4][4]) {
  SHARED_ARRAY(float, a_tile, DEPTH * PITCH);  // [k][row]
  SHARED_ARRAY(float, b_tile, DEPTH * PITCH);  // [k][col]
  const u32 t = threadIdx.x, tx = t % 16, ty = t / 16;
  for (u32 k0 = begin; k0 < end; k0 += DEPTH) {
    for (u32 i = t; i < TILE * DEPTH; i += TILE_THREADS) {
      const u32 ak = A::ALONG_K ? i % DEPTH : i / TILE, row = A::ALONG_K ? i / DEPTH : i % TILE;
      const u32 bk = B::ALONG_K ? i % DEPTH : i / TILE, col = B::ALONG_K ? i / DEPTH : i % TILE;
      a_tile[ak * PITCH + row] = k0 + ak < end ? a(row0 + row, k0 + ak) : 0.0f;
      b_tile[bk * PITCH + col] = k0 + bk < end ? b(k0 + bk, col0 + col) : 0.0f;
    }
    __syncthreads();
    for (u32 k = 0; k < DEPTH; k++) {
      float av[4], bv[4];
      for (u32 i = 0; i < 4; i++) av[i] = a_tile[k * PITCH + 4 * ty + i];
      for (u32 j = 0; j < 4; j++) bv[j] = b_tile[k * PITCH + 4 * tx + j];
      for (u32 i = 0; i < 4; i++)
        for (u32 j = 0; j < 4; j++) sum[i][j] += av[i] * bv[j];
    }
    __syncthreads();  // the tiles are loaded anew
  }
}
