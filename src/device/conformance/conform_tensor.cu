// What the copy engine makes of tensor maps, dumped: the emulator's must be the hardware's, bit for bit.
#include "ptx_hopper.cuh"

constexpr u32 TILE_ROWS = 64, TILE_BYTES = TILE_ROWS * 128;

// x (rows, cols) bf16; y (4, 2048): tiles of 64 rows from (row, col) on, in rows of 16, 32, 64 and 128 bytes, the
// first plain and the others swizzled, as they lie in shared memory.
struct ConformTiles { const real* x; u32* y; u32 rows, cols; i32 row, col; };
// x (n, h, w, 64) bf16; y (2048): 64 pixels of 64 channels for tap (tap_h, tap_w) of a filter of size x size, from
// (at_n, at_h, at_w) on, swizzled as in shared memory.
struct ConformIm2col { const real* x; u32* y; u32 n, h, w, size, stride, pad, tap_h, tap_w; i32 at_n, at_h, at_w; };
// y (rows, cols): a tile of 64 x 64 stored at (row, col); its bits are 64 row + col + 1.
struct ConformStore { real* y; u32 rows, cols; i32 row, col; };
// y (8): the squares that one warp hands to another through one place, by two mbarriers in eight phases.
struct ConformPhases { u32* y; };

#ifdef REAL_BF16
// The barrier that the loads of thread 0 complete; who reads the tiles waits for it.
DEVICE void begin_loads(u64* barrier, u32 bytes) {
  mbarrier_init(barrier, 1);
  mbarrier_init_fence();
  mbarrier_arrive_expect(barrier, bytes);
}

KERNEL_MAPS(conform_tiles, ConformTiles, 128, 4) {
  DYNAMIC_SHARED_ALIGNED(u8, tiles, 1024);
  SHARED_ARRAY_ALIGNED(u64, barrier, 1, 8);
  if (threadIdx.x == 0) {
    begin_loads(barrier, TILE_ROWS * (16 + 32 + 64 + 128));
    for (u32 i = 0; i < 4; i++) tensor_load(tiles + i * TILE_BYTES, maps[i], barrier, {p.col, p.row});
  }
  __syncthreads();
  mbarrier_wait(barrier, 0);
  const u32* words = reinterpret_cast<const u32*>(tiles);
  for (u32 i = 0; i < 4; i++)
    for (u32 word = threadIdx.x; word < TILE_ROWS * (4 << i); word += blockDim.x) p.y[i * 2048 + word] = words[i * 2048 + word];
}

KERNEL_MAPS(conform_im2col, ConformIm2col, 128, 1) {
  DYNAMIC_SHARED_ALIGNED(u8, tile, 1024);
  SHARED_ARRAY_ALIGNED(u64, barrier, 1, 8);
  if (threadIdx.x == 0) {
    begin_loads(barrier, TILE_BYTES);
    tensor_load_im2col(tile, maps[0], barrier, 0, p.at_w, p.at_h, p.at_n, u16(p.tap_w), u16(p.tap_h));
  }
  __syncthreads();
  mbarrier_wait(barrier, 0);
  for (u32 i = threadIdx.x; i < TILE_BYTES / 4; i += blockDim.x) p.y[i] = reinterpret_cast<const u32*>(tile)[i];
}

KERNEL_MAPS(conform_store, ConformStore, 128, 1) {
  DYNAMIC_SHARED_ALIGNED(u8, tile, 1024);
  for (u32 i = threadIdx.x; i < TILE_ROWS * 64; i += blockDim.x)
    *reinterpret_cast<u16*>(tile + swizzled<SWIZZLE_128>(i * 2)) = u16(i + 1);
  fence_async_proxy();
  __syncthreads();
  if (threadIdx.x == 0) {
    tensor_store(maps[0], tile, {p.col, p.row});
    bulk_commit();
    bulk_wait<0>();
  }
}

KERNEL_BF16(conform_phases, ConformPhases, 64) {
  SHARED_ARRAY_ALIGNED(u64, barriers, 2, 8);
  SHARED_ARRAY(u32, value, 1);
  u64 *full = barriers, *empty = barriers + 1;
  if (threadIdx.x == 0) {
    mbarrier_init(full, 1);
    mbarrier_init(empty, 1);
    mbarrier_init_fence();
  }
  __syncthreads();
  for (u32 i = 0; i < 8 && threadIdx.x == 0; i++) {
    mbarrier_wait(empty, i % 2 ^ 1);
    value[0] = i * i;
    mbarrier_arrive(full);
  }
  for (u32 i = 0; i < 8 && threadIdx.x == WARP; i++) {
    mbarrier_wait(full, i % 2);
    p.y[i] = value[0];
    mbarrier_arrive(empty);
  }
}
#endif
