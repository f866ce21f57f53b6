// Matrix products by the copy engine and wgmma, for the emulator's tests: sound ones, and ones with a bug
// planted. A block is 64 x 128 of c; warp 4 loads, three stages ahead at most, and a warpgroup multiplies.
#include "ptx_hopper.cuh"

// As numbered in tests/emulator.
enum Bug : u32 {
  SOUND, NO_PRODUCT_WAIT, EARLY_RELEASE, WRONG_EXPECT, SHORT_EXPECT, NO_STORE_FENCE, NO_INIT, NO_INIT_BARRIER,
  NO_INIT_FENCE, MISALIGNED_TILE, NO_READ_WAIT, NO_FULL_WAIT, NO_EMPTY_WAIT, NO_PRODUCT_FENCE, NO_COMMIT,
  LANES_DIFFER, STORE_UNWAITED, TILE_PAST_END
};

constexpr u32 ROWS = 64, COLS = 128, DEPTH = 64, STAGES = 3;
constexpr u32 A_BYTES = ROWS * DEPTH * 2, B_BYTES = COLS * DEPTH * 2, STAGE_BYTES = A_BYTES + B_BYTES;
constexpr u32 HALF_BYTES = ROWS * 128;  // 64 columns of c, or of b across

struct Stages {
  u8* tiles; u64* full; u64* empty;
  DEVICE u8* a(u32 stage) const { return tiles + stage * STAGE_BYTES; }
  DEVICE u8* b(u32 stage) const { return a(stage) + A_BYTES; }
};

template <Major A, Major B>
DEVICE void load_tiles(const TensorMap (&maps)[3], const Stages& stages, u32 depth, Bug bug) {
  const i32 row0 = i32(blockIdx.y * ROWS), col0 = i32(blockIdx.x * COLS);
  for (u32 i = 0; i * DEPTH < depth; i++) {
    const u32 stage = i % STAGES;
    const i32 k = i32(i * DEPTH);
    u64* full = &stages.full[stage];
    u8* a = stages.a(stage) + (bug == MISALIGNED_TILE ? 128 : 0);
    u8* b = bug == TILE_PAST_END && stage == 2 ? stages.b(stage) + STAGE_BYTES : stages.b(stage);
    if (bug != NO_EMPTY_WAIT) mbarrier_wait(&stages.empty[stage], i / STAGES % 2 ^ 1);
    mbarrier_arrive_expect(full, STAGE_BYTES + (bug == WRONG_EXPECT ? 16 : 0) - (bug == SHORT_EXPECT ? 16 : 0));
    if (A == K_MAJOR) tensor_load(a, maps[0], full, {k, row0});
    else tensor_load(a, maps[0], full, {row0, k});
    if (B == K_MAJOR) tensor_load(b, maps[1], full, {k, col0});
    else {
      tensor_load(b, maps[1], full, {col0, k});
      tensor_load(b + HALF_BYTES, maps[1], full, {col0 + 64, k});
    }
  }
}

template <Major A, Major B>
DEVICE void multiply_tiles(float (&sum)[COLS / 2], const Stages& stages, u32 depth, Bug bug) {
  constexpr u32 a_step = A == K_MAJOR ? 32 : 2048, b_step = B == K_MAJOR ? 32 : 2048;
  for (u32 i = 0; i * DEPTH < depth; i++) {
    const u32 stage = i % STAGES;
    const bool is_last = (i + 1) * DEPTH >= depth;
    if (bug != NO_FULL_WAIT) mbarrier_wait(&stages.full[stage], i / STAGES % 2);
    const u64 a = matrix_descriptor(stages.a(stage), 16, 1024, SWIZZLE_128);
    const u64 b = matrix_descriptor(stages.b(stage), HALF_BYTES, 1024, SWIZZLE_128);
    if (bug != NO_PRODUCT_FENCE) wgmma_fence();
    for (u32 k = 0; k < DEPTH / 16; k++) {
      const u64 left = advanced(a, k * a_step + (bug == LANES_DIFFER && threadIdx.x == 77 ? 16 : 0));
      wgmma<COLS, A, B>(sum, left, advanced(b, k * b_step), i + k > 0);
    }
    if (bug != NO_COMMIT) wgmma_commit();
    if (bug != EARLY_RELEASE && (bug != NO_PRODUCT_WAIT || !is_last)) wgmma_wait<0>();
    barrier_sync(1, 128);
    if (threadIdx.x == 0) mbarrier_arrive(&stages.empty[stage]);
    if (bug == EARLY_RELEASE) wgmma_wait<0>();
  }
}

// Two tiles of 64 columns, as the copy engine takes them.
DEVICE void stage_sums(u8* tile, const float (&sum)[COLS / 2], float scale) {
  const u32 warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
  for (u32 i = 0; i < COLS / 2; i += 2) {
    const u32 row = 16 * warp + lane / 4 + 8 * (i / 2 % 2), col = 8 * (i / 4) + lane % 4 * 2;
    u8* at = tile + col / 64 * HALF_BYTES + swizzled<SWIZZLE_128>(row * 128 + col % 64 * 2);
    const u32 pair = to_bf16(sum[i] * scale).bits | u32(to_bf16(sum[i + 1] * scale).bits) << 16;
    *reinterpret_cast<u32*>(at) = pair;
  }
}

DEVICE void store_sums(const TensorMap& map, u8* tile, float (&sum)[COLS / 2], Bug bug) {
  const i32 row0 = i32(blockIdx.y * ROWS), col0 = i32(blockIdx.x * COLS);
  stage_sums(tile, sum, 1.0f);
  if (bug == NO_PRODUCT_WAIT) wgmma_wait<0>();
  if (bug != NO_STORE_FENCE) fence_async_proxy();
  barrier_sync(1, 128);
  if (threadIdx.x == 0) {
    tensor_store(map, tile, {col0, row0});
    tensor_store(map, tile + HALF_BYTES, {col0 + 64, row0});
    bulk_commit();
    if (bug != STORE_UNWAITED && bug != NO_READ_WAIT) bulk_wait_read<0>();
  }
  if (bug == NO_READ_WAIT) {
    barrier_sync(1, 128);
    stage_sums(tile, sum, 2.0f);  // as for a next tile
    if (threadIdx.x == 0) bulk_wait<0>();
  }
}

template <Major A, Major B>
DEVICE void tensor_product(const TensorMap (&maps)[3], u32 depth, Bug bug) {
  DYNAMIC_SHARED_ALIGNED(u8, tiles, 1024);
  SHARED_ARRAY_ALIGNED(u64, barriers, 2 * STAGES, 8);
  const Stages stages = {tiles, barriers, barriers + STAGES};
  if (threadIdx.x == 0 && bug != NO_INIT) {
    for (u32 i = 0; i < STAGES; i++) {
      mbarrier_init(&stages.full[i], 1);
      mbarrier_init(&stages.empty[i], 1);
    }
    if (bug != NO_INIT_FENCE) mbarrier_init_fence();
  }
  if (bug != NO_INIT_BARRIER) __syncthreads();
  if (threadIdx.x >= 128) {
    if (threadIdx.x == 128) load_tiles<A, B>(maps, stages, depth, bug);
  } else {
    float sum[COLS / 2] = {};
    multiply_tiles<A, B>(sum, stages, depth, bug);
    store_sums(maps[2], tiles + STAGES * STAGE_BYTES, sum, bug);
  }
}

// a (m, k), b (n, k), c (m, n): c = a times b transposed.
struct TensorProduct { const real* a; const real* b; real* c; u32 m, n, k, bug; };
// b (k, n): c = a b.
struct TensorProductAcross { const real* a; const real* b; real* c; u32 m, n, k; };
// a (k, m), b (k, n): c = a transposed times b.
struct TensorProductBothAcross { const real* a; const real* b; real* c; u32 m, n, k; };

#ifdef REAL_BF16
KERNEL_MAPS(tensor_product, TensorProduct, 160, 3) {
  tensor_product<K_MAJOR, K_MAJOR>(maps, p.k, Bug(p.bug));
}
KERNEL_MAPS(tensor_product_across, TensorProductAcross, 160, 3) {
  tensor_product<K_MAJOR, MN_MAJOR>(maps, p.k, SOUND);
}
KERNEL_MAPS(tensor_product_both_across, TensorProductBothAcross, 160, 3) {
  tensor_product<MN_MAJOR, MN_MAJOR>(maps, p.k, SOUND);
}
#endif
