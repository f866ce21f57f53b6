// Every line of PTX that sm_80 has and C++ has no word for, as verbs, and storing matrices, which sm_90 has;
// included by kernels that copy asynchronously or use tensor cores. The host twins of the verbs are in emulated_ptx.cuh.
//
// How a warp holds matrices (lane = 4 row + t): a fragment register packs two neighbours of a row, the
// lower column in its low half.
//   A (16, 16): a[0] = (row, 2t), a[1] = (row + 8, 2t), a[2] = (row, 2t + 8), a[3] = (row + 8, 2t + 8)
//   B (16, 8), by columns: b[0] = (2t, row), b[1] = (2t + 8, row), pairs down the column
//   sum (16, 8): [0] = (row, 2t), [1] = (row, 2t + 1), [2] and [3] the same eight rows below
// With row addresses (lane % 16, 8 (lane / 16)), load_matrices of a row-major A gives a[0..3], and
// load_matrices_transposed of a row-major B (16, 16) gives b[0..1] of its left half, then of its right.
#pragma once
#include "common.cuh"

#ifdef __CUDACC_RTC__
// The address within shared memory, as instructions want it.
DEVICE u32 shared_address(const void* shared) { return u32(__cvta_generic_to_shared(shared)); }

// 16 bytes from global to shared memory, asynchronously: the first `bytes` of them are read, the others
// are zeros; with bytes = 0 nothing is read. Both addresses 16-byte aligned.
DEVICE void copy_async(void* shared, const void* global, u32 bytes = 16) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
               :: "r"(shared_address(shared)), "l"(global), "r"(bytes) : "memory");
}
// This thread's copies since the last commit are one group from here on.
DEVICE void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// All but the OPEN youngest committed groups of this thread have arrived; other threads see them after a
// barrier.
template <int OPEN> DEVICE void copy_async_wait() { asm volatile("cp.async.wait_group %0;" :: "n"(OPEN) : "memory"); }

// Four 8 x 8 matrices of 16-bit numbers from shared memory: lanes 8i to 8i + 7 say where the eight rows
// of matrix i start (16-byte aligned), and every lane gets (row, 2t) and (row, 2t + 1) of it in r[i].
DEVICE void load_matrices(u32 (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory");
}
// The same of the transposed matrices: (2t, row) and (2t + 1, row).
DEVICE void load_matrices_transposed(u32 (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory");
}
#if __CUDA_ARCH__ >= 900
// The way back: lane by lane what load_matrices, or load_matrices_transposed, would have found there.
DEVICE void store_matrices(void* row, const u32 (&r)[4]) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};"
               :: "r"(shared_address(row)), "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3]) : "memory");
}
DEVICE void store_matrices_transposed(void* row, const u32 (&r)[4]) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};"
               :: "r"(shared_address(row)), "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3]) : "memory");
}
#endif

// sum (16 M, 8 N) += a (16 M, 16) b (16, 8 N): bf16 factors, f32 sums, by all 32 lanes.
template <int M, int N>
DEVICE void mma_tile(float (&sum)[M][N][4], const u32 (&a)[M][4], const u32 (&b)[N][2]) {
#pragma unroll
  for (int i = 0; i < M; i++)
#pragma unroll
    for (int j = 0; j < N; j++)
      asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                   "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                   : "+f"(sum[i][j][0]), "+f"(sum[i][j][1]), "+f"(sum[i][j][2]), "+f"(sum[i][j][3])
                   : "r"(a[i][0]), "r"(a[i][1]), "r"(a[i][2]), "r"(a[i][3]), "r"(b[j][0]), "r"(b[j][1]));
}

// Two numbers rounded to bf16 (nearest, ties to even), `low` in the low half.
DEVICE u32 pack_bf16(float low, float high) {
  u32 pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}

// 2^x within two units of the last place, by one instruction: 0 where f32 has no normal number for it.
DEVICE float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
#else
#include "emulated_ptx.cuh"
#endif
