// The host twins of ptx.cuh, which says what they mean. The runtime's side is in src/device/emulator:
// copies.rs and matrix.rs.
#pragma once

extern "C" {
void emulated_copy_async(void* shared, const void* global, u32 bytes);
void emulated_copy_async_commit();
void emulated_copy_async_wait(u32 open);
void emulated_load_matrices(u32* r, const void* row, bool transposed, Site site);
void emulated_store_matrices(void* row, const u32* r, bool transposed, Site site);
void emulated_mma(float* sum, const u32* a, const u32* b, u32 m, u32 n, Site site);
}

// Inlined whatever happens: the runtime asks where it was called from, and that is to be the kernel.
#define EMULATED_VERB __forceinline__

EMULATED_VERB void copy_async(void* shared, const void* global, u32 bytes = 16) {
  emulated_copy_async(shared, global, bytes);
}
EMULATED_VERB void copy_async_commit() { emulated_copy_async_commit(); }
template <int OPEN>
EMULATED_VERB void copy_async_wait() {
  static_assert(OPEN >= 0, "");
  emulated_copy_async_wait(OPEN);
}

EMULATED_VERB void load_matrices(u32 (&r)[4], const void* row, EMULATED_SITE) {
  emulated_load_matrices(r, row, false, site);
}
EMULATED_VERB void load_matrices_transposed(u32 (&r)[4], const void* row, EMULATED_SITE) {
  emulated_load_matrices(r, row, true, site);
}

EMULATED_VERB void store_matrices(void* row, const u32 (&r)[4], EMULATED_SITE) {
  emulated_store_matrices(row, r, false, site);
}
EMULATED_VERB void store_matrices_transposed(void* row, const u32 (&r)[4], EMULATED_SITE) {
  emulated_store_matrices(row, r, true, site);
}

// One meeting of the warp for the whole tile.
template <int M, int N>
EMULATED_VERB void mma_tile(float (&sum)[M][N][4], const u32 (&a)[M][4], const u32 (&b)[N][2], EMULATED_SITE) {
  emulated_mma(&sum[0][0][0], &a[0][0], &b[0][0], M, N, site);
}

inline u32 pack_bf16(float low, float high) { return u32(to_bf16(high).bits) << 16 | to_bf16(low).bits; }
inline float exp2_fast(float x) { return exp2f(x); }
