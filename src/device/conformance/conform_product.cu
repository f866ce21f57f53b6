// wgmma with operands of every kind, its accumulators dumped: integers, so that the sums are exact, and the
// emulator's must be the hardware's, bit for bit.
#include "ptx_hopper.cuh"

constexpr u32 DEPTH = 64, A_BYTES = 64 * DEPTH * 2;

// a (64, 64), b (cols, 64), or transposed where they lie across; d (128, cols / 2): each thread's accumulators of
// the sum over 64. `form` names the kernel.
struct ConformProduct { const real* a; const real* b; float* d; u32 form; };

#ifdef REAL_BF16
template <u32 N>
DEVICE void dump(float* d, const float (&sum)[N / 2]) {
  for (u32 i = 0; i < N / 2; i++) d[threadIdx.x * (N / 2) + i] = sum[i];
}

// Both operands by the copy engine, swizzled.
template <u32 N, Major A, Major B>
DEVICE u8* load_operands(const TensorMap (&maps)[2]) {
  DYNAMIC_SHARED_ALIGNED(u8, tiles, 1024);
  SHARED_ARRAY_ALIGNED(u64, barrier, 1, 8);
  if (threadIdx.x == 0) {
    mbarrier_init(barrier, 1);
    mbarrier_init_fence();
    mbarrier_arrive_expect(barrier, A_BYTES + N * DEPTH * 2);
    tensor_load(tiles, maps[0], barrier, {0, 0});
    if (B == K_MAJOR) tensor_load(tiles + A_BYTES, maps[1], barrier, {0, 0});
    else
      for (i32 i = 0; i < i32(N / 64); i++) tensor_load(tiles + A_BYTES + i * 8192, maps[1], barrier, {64 * i, 0});
  }
  __syncthreads();
  mbarrier_wait(barrier, 0);
  return tiles;
}

template <u32 N, Major A, Major B>
DEVICE void product(const TensorMap (&maps)[2], float* d) {
  const u8* tiles = load_operands<N, A, B>(maps);
  const u64 a = matrix_descriptor(tiles, 16, 1024, SWIZZLE_128);
  const u64 b = matrix_descriptor(tiles + A_BYTES, 8192, 1024, SWIZZLE_128);
  float sum[N / 2];
  wgmma_fence();
#pragma unroll
  for (u32 k = 0; k < 4; k++)
    wgmma<N, A, B>(sum, advanced(a, k * (A == K_MAJOR ? 32 : 2048)), advanced(b, k * (B == K_MAJOR ? 32 : 2048)), k > 0);
  wgmma_commit();
  wgmma_wait<0>();
  dump<N>(d, sum);
}

template <u32 N, Major B>
DEVICE void product_of_registers(const TensorMap (&maps)[2], float* d) {
  const u8* tiles = load_operands<N, K_MAJOR, B>(maps);
  const u64 b = matrix_descriptor(tiles + A_BYTES, 8192, 1024, SWIZZLE_128);
  const u32 warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
  u32 a[4][4];
#pragma unroll
  for (u32 k = 0; k < 4; k++)
    load_matrices(a[k], tiles + swizzled<SWIZZLE_128>((16 * warp + lane % 16) * 128 + k * 32 + lane / 16 * 16));
  float sum[N / 2];
  wgmma_fence();
#pragma unroll
  for (u32 k = 0; k < 4; k++) wgmma_registers<N, B>(sum, a[k], advanced(b, k * (B == K_MAJOR ? 32 : 2048)), k > 0);
  wgmma_commit();
  wgmma_wait<0>();
  dump<N>(d, sum);
}

// Both operands by plain stores, in core matrices of 128 bytes one behind the other, not swizzled.
template <Major MAJOR>
DEVICE void product_of_plain(const ConformProduct& p) {
  DYNAMIC_SHARED_ALIGNED(u8, tiles, 1024);
  for (u32 i = threadIdx.x; i < 64 * DEPTH; i += 128) {
    const u32 slow = i / 64, fast = i % 64;  // a chunk runs along the fast index
    const u32 at = slow / 8 * 1024 + fast / 8 * 128 + slow % 8 * 16 + fast % 8 * 2;
    *reinterpret_cast<u16*>(tiles + at) = p.a[i].bits;
    *reinterpret_cast<u16*>(tiles + A_BYTES + at) = p.b[i].bits;
  }
  fence_async_proxy();
  __syncthreads();
  const u32 leading = MAJOR == K_MAJOR ? 128 : 1024, stride = MAJOR == K_MAJOR ? 1024 : 128;
  const u64 a = matrix_descriptor(tiles, leading, stride, SWIZZLE_NONE);
  const u64 b = matrix_descriptor(tiles + A_BYTES, leading, stride, SWIZZLE_NONE);
  constexpr u32 step = MAJOR == K_MAJOR ? 256 : 2048;
  float sum[32];
  wgmma_fence();
#pragma unroll
  for (u32 k = 0; k < 4; k++) wgmma<64, MAJOR, MAJOR>(sum, advanced(a, k * step), advanced(b, k * step), k > 0);
  wgmma_commit();
  wgmma_wait<0>();
  dump<64>(p.d, sum);
}

KERNEL_MAPS(conform_product, ConformProduct, 128, 2) { product<64, K_MAJOR, K_MAJOR>(maps, p.d); }
KERNEL_MAPS(conform_product_k_mn, ConformProduct, 128, 2) { product<64, K_MAJOR, MN_MAJOR>(maps, p.d); }
KERNEL_MAPS(conform_product_mn_k, ConformProduct, 128, 2) { product<64, MN_MAJOR, K_MAJOR>(maps, p.d); }
KERNEL_MAPS(conform_product_mn_mn, ConformProduct, 128, 2) { product<64, MN_MAJOR, MN_MAJOR>(maps, p.d); }
KERNEL_MAPS(conform_product_registers_k, ConformProduct, 128, 2) { product_of_registers<64, K_MAJOR>(maps, p.d); }
KERNEL_MAPS(conform_product_registers_mn, ConformProduct, 128, 2) { product_of_registers<64, MN_MAJOR>(maps, p.d); }
KERNEL_MAPS(conform_product_narrow, ConformProduct, 128, 2) { product<8, K_MAJOR, K_MAJOR>(maps, p.d); }
KERNEL_MAPS(conform_product_wide, ConformProduct, 128, 2) { product<256, K_MAJOR, MN_MAJOR>(maps, p.d); }
KERNEL_MAPS(conform_product_plain_k, ConformProduct, 128, 2) { product_of_plain<K_MAJOR>(p); }
KERNEL_MAPS(conform_product_plain_mn, ConformProduct, 128, 2) { product_of_plain<MN_MAJOR>(p); }
#endif
