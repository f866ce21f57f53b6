// The host side of ptx_hopper.cuh: names and arguments. What they mean is in src/device/emulator: mbarrier.rs,
// copy_engine.rs, bulk.rs, warpgroup.rs.
#pragma once

struct EmulatedTransfer {
  const TensorMap* map; const void* shared; u64* barrier;
  u32 rank, is_im2col; i32 at[5]; u16 offsets[3];
};
struct EmulatedProduct {
  float* d; const u32* a_registers; u64 a, b;
  u32 n; Major a_major, b_major; u32 accumulates;
};

extern "C" {
void emulated_mbarrier_init(u64* barrier, u32 arrivals, Site site);
void emulated_mbarrier_arrive(u64* barrier, u32 bytes, Site site);
void emulated_mbarrier_wait(u64* barrier, u32 parity, Site site);
void emulated_fence_units();
void emulated_tensor_load(const EmulatedTransfer* transfer, Site site);
void emulated_tensor_store(const EmulatedTransfer* transfer, Site site);
void emulated_bulk_commit();
void emulated_bulk_wait(u32 open, bool until_written, Site site);
void emulated_wgmma_fence();
void emulated_wgmma(const EmulatedProduct* product, Site site);
void emulated_wgmma_commit(Site site);
void emulated_wgmma_wait(u32 open, Site site);
void emulated_set_registers(u32 registers, Site site);
}

// Tensor maps come before the parameters, as the host packs them.
#define KERNEL_MAPS(name, Params, max_threads, count)                             \
  struct MapsOf_##name { TensorMap maps[count]; Params p; };                      \
  static void body_##name(const TensorMap (&maps)[count], const Params& p);       \
  extern "C" void EMULATED(name)(const void* params) {                            \
    emulated_bounds(max_threads, {__FILE__, __LINE__});                           \
    const MapsOf_##name& all = *static_cast<const MapsOf_##name*>(params);        \
    body_##name(all.maps, all.p);                                                 \
  }                                                                               \
  static void body_##name(const TensorMap (&maps)[count], const Params& p)

// The window of shared memory lies at a multiple of 256 KiB.
inline u32 shared_address(const void* shared) { return u32(reinterpret_cast<u64>(shared)) & 0x3ffff; }

// ---- mbarriers ----
inline void mbarrier_init(u64* barrier, u32 arrivals, EMULATED_SITE) { emulated_mbarrier_init(barrier, arrivals, site); }
inline void mbarrier_init_fence() { emulated_fence_units(); }
inline void mbarrier_arrive(u64* barrier, EMULATED_SITE) { emulated_mbarrier_arrive(barrier, 0, site); }
inline void mbarrier_arrive_expect(u64* barrier, u32 bytes, EMULATED_SITE) { emulated_mbarrier_arrive(barrier, bytes, site); }
inline void mbarrier_wait(u64* barrier, u32 parity, EMULATED_SITE) { emulated_mbarrier_wait(barrier, parity, site); }
inline void fence_async_proxy() { emulated_fence_units(); }

// ---- tiles of tensors ----
template <u32 D>
inline EmulatedTransfer emulated_transfer(const TensorMap& map, const void* shared, u64* barrier, const i32 (&at)[D]) {
  static_assert(D >= 1 && D <= 5, "a tensor has one to five dimensions");
  EmulatedTransfer transfer = {&map, shared, barrier, D, 0, {}, {}};
  for (u32 i = 0; i < D; i++) transfer.at[i] = at[i];
  return transfer;
}
template <u32 D>
inline void tensor_load(void* shared, const TensorMap& map, u64* barrier, const i32 (&at)[D], EMULATED_SITE) {
  const EmulatedTransfer transfer = emulated_transfer(map, shared, barrier, at);
  emulated_tensor_load(&transfer, site);
}
inline void tensor_load_im2col(void* shared, const TensorMap& map, u64* barrier, i32 c, i32 w, i32 h, i32 n,
                               u16 offset_w, u16 offset_h, EMULATED_SITE) {
  EmulatedTransfer transfer = emulated_transfer(map, shared, barrier, {c, w, h, n});
  transfer.is_im2col = 1;
  transfer.offsets[0] = offset_w;
  transfer.offsets[1] = offset_h;
  emulated_tensor_load(&transfer, site);
}
template <u32 D>
inline void tensor_store(const TensorMap& map, const void* shared, const i32 (&at)[D], EMULATED_SITE) {
  const EmulatedTransfer transfer = emulated_transfer(map, shared, nullptr, at);
  emulated_tensor_store(&transfer, site);
}
inline void bulk_commit() { emulated_bulk_commit(); }
template <int OPEN>
inline void bulk_wait_read(EMULATED_SITE) { emulated_bulk_wait(OPEN, false, site); }
template <int OPEN>
inline void bulk_wait(EMULATED_SITE) { emulated_bulk_wait(OPEN, true, site); }

// ---- wgmma ----
inline void wgmma_fence() { emulated_wgmma_fence(); }
inline void wgmma_commit(EMULATED_SITE) { emulated_wgmma_commit(site); }
template <int OPEN>
inline void wgmma_wait(EMULATED_SITE) { emulated_wgmma_wait(OPEN, site); }
template <u32 N, Major A, Major B>
inline void wgmma(float (&d)[N / 2], u64 a, u64 b, bool accumulate, EMULATED_SITE) {
  static_assert(wgmma_has(N), "no such shape of wgmma");
  const EmulatedProduct product = {d, nullptr, a, b, N, A, B, accumulate};
  emulated_wgmma(&product, site);
}
template <u32 N, Major B>
inline void wgmma_registers(float (&d)[N / 2], const u32 (&a)[4], u64 b, bool accumulate, EMULATED_SITE) {
  static_assert(wgmma_has(N), "no such shape of wgmma");
  const EmulatedProduct product = {d, a, 0, b, N, K_MAJOR, B, accumulate};
  emulated_wgmma(&product, site);
}

// ---- registers ----
template <u32 N>
inline void set_registers_more(EMULATED_SITE) {
  static_assert(N % 8 == 0 && N >= 24 && N <= 256, "24 to 256 registers, by eight");
  emulated_set_registers(N, site);
}
template <u32 N>
inline void set_registers_fewer(EMULATED_SITE) { set_registers_more<N>(site); }
