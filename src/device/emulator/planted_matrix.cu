// Kernels that the emulator's asynchronous copies and tensor-core instructions are tested with: one sound
// matrix product, and the same with one bug each.
#include "ptx.cuh"

constexpr u32 TILE = 64, DEPTH = 32;  // a block's tile of c, and how much of k a stage holds
constexpr u32 A_PITCH = DEPTH + 8, B_PITCH = TILE + 8;  // + 8: eight rows of 16 bytes hit 32 banks
enum Bug { NONE, NO_WAIT, SHORT_WAIT, NO_BARRIER, EARLY_COPY, MISALIGNED, DIVERGENT, HALF_WARP };

// One stage: rows of a and of b, sixteen bytes a copy, zeros where there are none. k and n are multiples of 8.
template <class P>
DEVICE void copy_stage(bf16* a_stage, bf16* b_stage, const P& p, u32 k0) {
  const u32 m0 = blockIdx.y * TILE, n0 = blockIdx.x * TILE;
  for (u32 i = threadIdx.x; i < TILE * DEPTH / 8; i += blockDim.x) {
    const u32 row = i / (DEPTH / 8), col = i % (DEPTH / 8) * 8;
    const bool inside = m0 + row < p.m && k0 + col < p.k;
    copy_async(a_stage + row * A_PITCH + col, inside ? p.a + u64(m0 + row) * p.k + k0 + col : p.a, inside ? 16 : 0);
  }
  for (u32 i = threadIdx.x; i < DEPTH * TILE / 8; i += blockDim.x) {
    const u32 row = i / (TILE / 8), col = i % (TILE / 8) * 8;
    const bool inside = k0 + row < p.k && n0 + col < p.n;
    copy_async(b_stage + row * B_PITCH + col, inside ? p.b + u64(k0 + row) * p.n + n0 + col : p.b, inside ? 16 : 0);
  }
}

// sum (32, 32) += what a warp needs of one stage.
template <Bug BUG>
DEVICE void multiply_stage(float (&sum)[2][4][4], const bf16* a_stage, const bf16* b_stage) {
  const u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
  const u32 row = lane % 16, col = lane / 16 * 8, m0 = warp / 2 * 32, n0 = warp % 2 * 32;
  for (u32 k = 0; k < DEPTH; k += 16) {
    u32 a[2][4], b[4][2];
    for (u32 i = 0; i < 2; i++) load_matrices(a[i], a_stage + (m0 + i * 16 + row) * A_PITCH + k + col);
    for (u32 j = 0; j < 4; j += 2) {
      u32 both[4];
      const u32 shift = BUG == MISALIGNED && lane == 5 ? 1 : 0;
      load_matrices_transposed(both, b_stage + (k + row) * B_PITCH + n0 + j * 8 + col + shift);
      b[j][0] = both[0], b[j][1] = both[1], b[j + 1][0] = both[2], b[j + 1][1] = both[3];
    }
    if (BUG == DIVERGENT && lane < 16) {
      mma_tile(sum, a, b);
    } else if (BUG != HALF_WARP || lane < 16) {
      mma_tile(sum, a, b);
    }
  }
}

template <class P>
DEVICE void store_tile(const float (&sum)[2][4][4], const P& p) {
  const u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
  const u32 m0 = blockIdx.y * TILE + warp / 2 * 32, n0 = blockIdx.x * TILE + warp % 2 * 32;
  for (u32 i = 0; i < 2; i++)
    for (u32 j = 0; j < 4; j++)
      for (u32 e = 0; e < 4; e++) {
        const u32 row = m0 + i * 16 + lane / 4 + e / 2 * 8, col = n0 + j * 8 + lane % 4 * 2 + e % 2;
        if (row < p.m && col < p.n) p.c[u64(row) * p.n + col] = sum[i][j][e];
      }
}

// c = a b by two stages in turn: while one is multiplied, the next is on its way.
template <Bug BUG, class P>
DEVICE void multiply(const P& p) {
  SHARED_ARRAY_ALIGNED(bf16, a_tile, 2 * TILE * A_PITCH, 16);
  SHARED_ARRAY_ALIGNED(bf16, b_tile, 2 * DEPTH * B_PITCH, 16);
  const u32 stages = (p.k + DEPTH - 1) / DEPTH;
  float sum[2][4][4] = {};
  copy_stage(a_tile, b_tile, p, 0);
  copy_async_commit();
  for (u32 stage = 0; stage < stages; stage++) {
    const u32 now = stage % 2, next = 1 - now;
    // As if there were one more: its copies are all zeros, and only the bugs below notice.
    copy_stage(a_tile + next * TILE * A_PITCH, b_tile + next * DEPTH * B_PITCH, p, (stage + 1) * DEPTH);
    copy_async_commit();
    if (BUG == SHORT_WAIT) {
      copy_async_wait<2>();
    } else if (BUG != NO_WAIT) {
      copy_async_wait<1>();
    }
    if (BUG != NO_BARRIER) __syncthreads();
    multiply_stage<BUG>(sum, a_tile + now * TILE * A_PITCH, b_tile + now * DEPTH * B_PITCH);
    if (BUG != EARLY_COPY) __syncthreads();  // the stage is free for the copies of the next turn
    if (BUG == NO_WAIT) copy_async_wait<0>();
  }
  copy_async_wait<0>();
  store_tile(sum, p);
}

// a (m, k), b (k, n), c (m, n) row-major; k and n multiples of 8. A block owns a 64 x 64 tile of c, four
// warps a quarter each.
struct SoundProduct { const bf16* a; const bf16* b; float* c; u32 m, n, k; };
KERNEL_BOUNDS(sound_product, SoundProduct, 128) { multiply<NONE>(p); }

// Nobody waits for a stage before it is multiplied.
struct NoWait { const bf16* a; const bf16* b; float* c; u32 m, n, k; };
KERNEL(no_wait, NoWait) { multiply<NO_WAIT>(p); }

// The wait leaves one group too many open.
struct ShortWait { const bf16* a; const bf16* b; float* c; u32 m, n, k; };
KERNEL(short_wait, ShortWait) { multiply<SHORT_WAIT>(p); }

// Each thread waits for its own copies, and reads those of others.
struct NoBarrierAfterWait { const bf16* a; const bf16* b; float* c; u32 m, n, k; };
KERNEL(no_barrier_after_wait, NoBarrierAfterWait) { multiply<NO_BARRIER>(p); }

// The next stage is copied to where other warps may still read.
struct EarlyCopy { const bf16* a; const bf16* b; float* c; u32 m, n, k; };
KERNEL(early_copy, EarlyCopy) { multiply<EARLY_COPY>(p); }

struct MisalignedMatrix { const bf16* a; const bf16* b; float* c; u32 m, n, k; };
KERNEL(misaligned_matrix, MisalignedMatrix) { multiply<MISALIGNED>(p); }

struct DivergentProduct { const bf16* a; const bf16* b; float* c; u32 m, n, k; };
KERNEL(divergent_product, DivergentProduct) { multiply<DIVERGENT>(p); }

struct HalfWarpProduct { const bf16* a; const bf16* b; float* c; u32 m, n, k; };
KERNEL(half_warp_product, HalfWarpProduct) { multiply<HALF_WARP>(p); }

// The wait leaves the only group open, and no other follows.
struct NeverWaited { const bf16* a; const bf16* b; float* c; u32 m, n, k; };
KERNEL(never_waited, NeverWaited) {
  SHARED_ARRAY_ALIGNED(bf16, tile, 128 * 8, 16);
  copy_async(tile + threadIdx.x * 8, p.b);
  copy_async_commit();
  copy_async_wait<1>();
}

// The last copy of b reads past its end.
struct CopyPastEnd { const bf16* a; const bf16* b; float* c; u32 m, n, k; };
KERNEL(copy_past_end, CopyPastEnd) {
  SHARED_ARRAY_ALIGNED(bf16, tile, 128 * 8, 16);
  copy_async(tile + threadIdx.x * 8, p.b + u64(p.k) * p.n - 127 * 8 + threadIdx.x * 8);
  copy_async_commit();
  copy_async_wait<0>();
}

// 16 bytes to an address that is a multiple of 8 only.
struct MisalignedCopy { const bf16* a; const bf16* b; float* c; u32 m, n, k; };
KERNEL(misaligned_copy, MisalignedCopy) {
  SHARED_ARRAY_ALIGNED(bf16, tile, 129 * 8, 16);
  copy_async(tile + threadIdx.x * 8 + 4, p.b);
  copy_async_commit();
  copy_async_wait<0>();
}

// The last thread's copy ends outside the array.
struct CopyOverrun { const bf16* a; const bf16* b; float* c; u32 m, n, k; };
KERNEL(copy_overrun, CopyOverrun) {
  SHARED_ARRAY_ALIGNED(bf16, tile, 127 * 8, 16);
  copy_async(tile + threadIdx.x * 8, p.b);
  copy_async_commit();
  copy_async_wait<0>();
}

// c (n), of one block of 128 threads: a thread reads the one copy that it has itself started.
struct OwnCopyUnwaited { const bf16* a; const bf16* b; float* c; u32 m, n, k; };
KERNEL(own_copy_unwaited, OwnCopyUnwaited) {
  SHARED_ARRAY_ALIGNED(bf16, tile, 128 * 8, 16);
  copy_async(tile + threadIdx.x * 8, p.b);
  copy_async_commit();
  p.c[threadIdx.x] = to_float(tile[threadIdx.x * 8]);
  copy_async_wait<0>();
}

// What a warp stores as four matrices, loaded transposed. The numbers are 8 lane + 2 matrix + 0 or 1.
template <bool WAITS>
DEVICE float transposed_numbers(u32 pitch) {
  SHARED_ARRAY_ALIGNED(u16, tile, 4 * WARP * 16, 16);
  const u32 lane = threadIdx.x % WARP;
  u16* row = tile + threadIdx.x / WARP * WARP * 16 + lane * pitch;
  u32 r[4];
  for (u32 i = 0; i < 4; i++) r[i] = (8 * lane + 2 * i) | (8 * lane + 2 * i + 1) << 16;
  store_matrices(row, r);
  if (WAITS) __syncwarp();
  load_matrices_transposed(r, row);
  __syncwarp();
  store_matrices_transposed(row, r);  // and back: as they were
  __syncwarp();
  u32 same[4];
  load_matrices(same, row);
  const bool back = same[1] == ((8 * lane + 2) | (8 * lane + 3) << 16);
  return back ? float((r[0] & 0xffff) + 256 * (r[3] >> 16)) : -1.0f;
}

// x, y (n). y = x + the transposed numbers: the low one of matrix 0 and 256 times the high one of matrix 3.
struct SoundTransposition { const float* x; float* y; };
KERNEL(sound_transposition, SoundTransposition) { p.y[thread_index()] = p.x[thread_index()] + transposed_numbers<true>(8); }

// Loads what other lanes have stored, with nothing between.
struct NoSyncwarpAfterStore { const float* x; float* y; };
KERNEL(no_syncwarp_after_store, NoSyncwarpAfterStore) { p.y[thread_index()] = transposed_numbers<false>(8); }

// Lane 8 stores where lane 0 does.
struct SharedRow { const float* x; float* y; };
KERNEL(shared_row, SharedRow) { p.y[thread_index()] = transposed_numbers<true>(threadIdx.x == 8 ? 0 : 8); }
