// Instructions of a warp, whose results are dumped: the emulator's must be the hardware's, bit for bit.
#include "ptx.cuh"

// x (n), y (n, 8): what each lane gets, of conversions, shuffles and votes. One block a warp.
struct ConformLanes { const float* x; u32* y; };
// a, b (16, 16) row-major; y (32, 16): the fragments of a, those of b transposed, and the sums of a b.
struct ConformMatrices { const real* a; const real* b; u32* y; };
// x (17, 16 bytes), y the same: row i with its first i bytes copied and the rest zero.
struct ConformCopies { const u32* x; u32* y; };

#ifdef REAL_BF16
KERNEL_BF16(conform_lanes, ConformLanes, 32) {
  const u32 lane = threadIdx.x;
  const float x = p.x[thread_index()];
  u32* y = p.y + thread_index() * 8;
  y[0] = pack_bf16(x, -x);
  y[1] = to_bf16(x).bits;
  y[2] = __shfl_sync(ALL_LANES, lane, int(lane * 3 + 1), 16);
  y[3] = __shfl_up_sync(ALL_LANES, lane, 3, 8);
  y[4] = __shfl_down_sync(ALL_LANES, lane, 5, 16);
  y[5] = __shfl_xor_sync(ALL_LANES, lane, 9, 8);
  y[6] = __ballot_sync(ALL_LANES, lane % 3 == 0);
  y[7] = u32(__any_sync(ALL_LANES, lane == 7) != 0) | u32(__all_sync(ALL_LANES, lane != 7) != 0) << 1;
}

KERNEL_BF16(conform_matrices, ConformMatrices, 32) {
  SHARED_ARRAY_ALIGNED(u16, a, 256, 16);
  SHARED_ARRAY_ALIGNED(u16, b, 256, 16);
  const u32 lane = threadIdx.x, at = lane % 16 * 16 + lane / 16 * 8;
  for (u32 i = lane; i < 256; i += WARP) {
    a[i] = p.a[i].bits;
    b[i] = p.b[i].bits;
  }
  __syncwarp();
  u32 left[1][4], right[4];
  load_matrices(left[0], a + at);
  load_matrices_transposed(right, b + at);
  const u32 columns[2][2] = {{right[0], right[1]}, {right[2], right[3]}};
  float sum[1][2][4] = {};
  mma_tile<1, 2>(sum, left, columns);
  for (u32 i = 0; i < 4; i++) {
    p.y[lane * 16 + i] = left[0][i];
    p.y[lane * 16 + 4 + i] = right[i];
    p.y[lane * 16 + 8 + i] = __float_as_uint(sum[0][0][i]);
    p.y[lane * 16 + 12 + i] = __float_as_uint(sum[0][1][i]);
  }
}

KERNEL_BF16(conform_copies, ConformCopies, 32) {
  SHARED_ARRAY_ALIGNED(u32, rows, 17 * 4, 16);
  const u32 row = threadIdx.x;
  if (row >= 17) return;
  for (u32 i = 0; i < 4; i++) rows[row * 4 + i] = ~0u;
  copy_async(rows + row * 4, p.x + row * 4, row);
  copy_async_commit();
  copy_async_wait<0>();
  for (u32 i = 0; i < 4; i++) p.y[row * 4 + i] = rows[row * 4 + i];
}
#endif
