// A matrix product as large ones are made: two blocks that take tile after tile, one warpgroup that loads and two
// that multiply, a product always on its way while the next one begins, registers handed from one to the others.
#include "ptx_hopper.cuh"

// As numbered in tests/emulator.
enum Bug : u32 { SOUND, RELEASES_OPEN_STAGE, TOO_MANY_REGISTERS, STAGING_NOT_READ };

constexpr u32 ROWS = 128, COLS = 64, DEPTH = 64, STAGES = 4, LOADER = 2;
constexpr u32 HALF_BYTES = 64 * DEPTH * 2, A_BYTES = 2 * HALF_BYTES, STAGE_BYTES = A_BYTES + COLS * DEPTH * 2;

// A stage and how often the ring came round, for one who goes through it.
struct Turn {
  u32 stage, parity;
  DEVICE void next() {
    stage++;
    if (stage == STAGES) {
      stage = 0;
      parity ^= 1;
    }
  }
};
struct Ring { u8* tiles; u64* full; u64* empty; };

// a (m, k), b (n, k), c (m, n): c = a times b transposed, in tiles of 128 x 64.
struct PersistentProduct { const real* a; const real* b; real* c; u32 m, n, k, bug; };

DEVICE u32 tile_count(const PersistentProduct& p) { return (p.m + ROWS - 1) / ROWS * ((p.n + COLS - 1) / COLS); }
DEVICE i32 row_of(const PersistentProduct& p, u32 tile) { return i32(tile / ((p.n + COLS - 1) / COLS) * ROWS); }
DEVICE i32 col_of(const PersistentProduct& p, u32 tile) { return i32(tile % ((p.n + COLS - 1) / COLS) * COLS); }

DEVICE void load_all(const TensorMap (&maps)[3], const PersistentProduct& p, const Ring& ring) {
  Turn turn = {0, 0};
  for (u32 tile = blockIdx.x; tile < tile_count(p); tile += gridDim.x)
    for (u32 k = 0; k < p.k; k += DEPTH) {
      u64* full = &ring.full[turn.stage];
      u8* a = ring.tiles + turn.stage * STAGE_BYTES;
      mbarrier_wait(&ring.empty[turn.stage], turn.parity ^ 1);
      mbarrier_arrive_expect(full, STAGE_BYTES);
      tensor_load(a, maps[0], full, {i32(k), row_of(p, tile)});
      tensor_load(a + A_BYTES, maps[1], full, {i32(k), col_of(p, tile)});
      turn.next();
    }
}

// The stage before `turn` is released once its product is done, while that of `turn` is on its way.
DEVICE void multiply_tile(const PersistentProduct& p, const Ring& ring, Turn& turn, float (&sum)[COLS / 2]) {
  const u32 warpgroup = threadIdx.x / 128;
  const bool speaks = threadIdx.x % WARP == 0;
  u32 before = 0;
  for (u32 k = 0; k < p.k; k += DEPTH) {
    mbarrier_wait(&ring.full[turn.stage], turn.parity);
    const u8* tiles = ring.tiles + turn.stage * STAGE_BYTES;
    const u64 a = matrix_descriptor(tiles + warpgroup * HALF_BYTES, 16, 1024, SWIZZLE_128);
    const u64 b = matrix_descriptor(tiles + A_BYTES, 16, 1024, SWIZZLE_128);
    wgmma_fence();
#pragma unroll
    for (u32 i = 0; i < DEPTH / 16; i++)
      wgmma<COLS, K_MAJOR, K_MAJOR>(sum, advanced(a, i * 32), advanced(b, i * 32), k + i > 0);
    wgmma_commit();
    wgmma_wait<1>();
    if (p.bug == RELEASES_OPEN_STAGE) before = turn.stage;
    if (speaks && (k > 0 || p.bug == RELEASES_OPEN_STAGE)) mbarrier_arrive(&ring.empty[before]);
    before = turn.stage;
    turn.next();
  }
  wgmma_wait<0>();
  if (speaks && p.bug != RELEASES_OPEN_STAGE) mbarrier_arrive(&ring.empty[before]);
}

DEVICE void store_tile(const TensorMap& map, u8* staging, const float (&sum)[COLS / 2], i32 row0, i32 col0, u32 bug) {
  const u32 warpgroup = threadIdx.x / 128, t = threadIdx.x % 128, warp = t / WARP, lane = t % WARP;
  if (t == 0 && bug != STAGING_NOT_READ) bulk_wait_read<0>();
  barrier_sync(1 + warpgroup, 128);
#pragma unroll
  for (u32 i = 0; i < COLS / 2; i += 2) {
    const u32 row = 16 * warp + lane / 4 + 8 * (i / 2 % 2), col = 8 * (i / 4) + lane % 4 * 2;
    *reinterpret_cast<u32*>(staging + swizzled<SWIZZLE_128>(row * 128 + col * 2)) = pack_bf16(sum[i], sum[i + 1]);
  }
  fence_async_proxy();
  barrier_sync(1 + warpgroup, 128);
  if (t == 0) {
    tensor_store(map, staging, {col0, row0 + i32(warpgroup * 64)});
    bulk_commit();
  }
}

#ifdef REAL_BF16
KERNEL_MAPS(persistent_product, PersistentProduct, 384, 3) {
  DYNAMIC_SHARED_ALIGNED(u8, tiles, 1024);
  SHARED_ARRAY_ALIGNED(u64, barriers, 2 * STAGES, 8);
  const Ring ring = {tiles, barriers, barriers + STAGES};
  if (threadIdx.x == 0) {
    for (u32 i = 0; i < STAGES; i++) {
      mbarrier_init(&ring.full[i], 1);
      mbarrier_init(&ring.empty[i], 8);  // the warps that multiply
    }
    mbarrier_init_fence();
  }
  __syncthreads();
  if (threadIdx.x / 128 == LOADER) {
    set_registers_fewer<40>();
    if (threadIdx.x == LOADER * 128) load_all(maps, p, ring);
    return;
  }
  if (p.bug == TOO_MANY_REGISTERS) set_registers_more<240>();
  else set_registers_more<232>();
  u8* staging = tiles + STAGES * STAGE_BYTES + threadIdx.x / 128 * HALF_BYTES;
  Turn turn = {0, 0};
  for (u32 tile = blockIdx.x; tile < tile_count(p); tile += gridDim.x) {
    float sum[COLS / 2];
    multiply_tile(p, ring, turn, sum);
    store_tile(maps[2], staging, sum, row_of(p, tile), col_of(p, tile), p.bug);
  }
  if (threadIdx.x % 128 == 0) bulk_wait_read<0>();
}
#endif
