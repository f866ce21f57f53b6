// What every kernel file includes: number types, the KERNEL declaration, and reductions in fixed order.
#pragma once

#ifdef __CUDACC_RTC__
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef int i32;
typedef unsigned long long u64;
typedef long long i64;
#define DEVICE __device__ __forceinline__
// A kernel takes exactly one argument: a plain struct of pointers and sizes, its twin in Rust.
#define KERNEL(name, Params) extern "C" __global__ void name(const __grid_constant__ Params p)
#define KERNEL_BOUNDS(name, Params, threads) \
  extern "C" __global__ void __launch_bounds__(threads) name(const __grid_constant__ Params p)
// For KERNEL_BOUNDS: so few registers that a multiprocessor holds `blocks` blocks of so many threads.
#define RESIDENT(threads, blocks) threads, blocks
// For tensor cores, which multiply bf16: stands between #ifdef REAL_BF16 and #endif.
#define KERNEL_BF16(name, Params, threads) KERNEL_BOUNDS(name, Params, threads)
#define SHARED_ARRAY(T, name, n) __shared__ T name[n]
#define SHARED_ARRAY_ALIGNED(T, name, n, align) __shared__ __align__(align) T name[n]
// What the launch asked for besides, one block of it: `name` is its beginning.
extern __shared__ __align__(1024) u8 dynamic_shared[];
#define DYNAMIC_SHARED_ALIGNED(T, name, align)                                                    \
  static_assert((align) <= 1024, "dynamic shared memory is aligned to 1024 bytes");               \
  T* name = reinterpret_cast<T*>(dynamic_shared)
#define DYNAMIC_SHARED(T, name) DYNAMIC_SHARED_ALIGNED(T, name, alignof(T))
// Barriers 1 to 15 of a block, for `threads` threads, whole warps: arriving does not wait.
DEVICE void barrier_sync(u32 id, u32 threads) { asm volatile("bar.sync %0, %1;" :: "r"(id), "r"(threads) : "memory"); }
DEVICE void barrier_arrive(u32 id, u32 threads) { asm volatile("bar.arrive %0, %1;" :: "r"(id), "r"(threads) : "memory"); }
#define INFINITY __int_as_float(0x7f800000)
#else
#include "emulated.cuh"
#define DEVICE inline
#endif

// Round to nearest even, as the hardware does; NaN stays NaN.
struct bf16 { u16 bits; };
DEVICE float to_float(bf16 v) { return __uint_as_float(u32(v.bits) << 16); }
DEVICE float to_float(float v) { return v; }
DEVICE bf16 to_bf16(float v) {
  const u32 u = __float_as_uint(v);
  if ((u & 0x7fffffffu) > 0x7f800000u) return bf16{0x7fff};
  return bf16{u16((u + 0x7fffu + ((u >> 16) & 1)) >> 16)};
}

// The number type of activations and of the weights they meet: one for a whole build of the kernels.
#ifdef REAL_BF16
typedef bf16 real;
DEVICE real to_real(float v) { return to_bf16(v); }
#else
typedef float real;
DEVICE real to_real(float v) { return v; }
#endif

constexpr u32 WARP = 32;
constexpr u32 ALL_LANES = 0xffffffffu;

// This thread's place among all threads of a one-dimensional grid, and how many there are.
DEVICE u64 thread_index() { return u64(blockIdx.x) * blockDim.x + threadIdx.x; }
DEVICE u64 thread_count() { return u64(gridDim.x) * blockDim.x; }

DEVICE float warp_sum(float v) {
  for (u32 step = WARP / 2; step > 0; step /= 2) v += __shfl_xor_sync(ALL_LANES, v, step);
  return v;
}
DEVICE float warp_max(float v) {
  for (u32 step = WARP / 2; step > 0; step /= 2) v = fmaxf(v, __shfl_xor_sync(ALL_LANES, v, step));
  return v;
}

// Sum of `v` over a block of whole warps, returned to every thread. One-dimensional blocks only.
DEVICE float block_sum(float v) {
  SHARED_ARRAY(float, partial, WARP);
  const u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
  v = warp_sum(v);
  if (lane == 0) partial[warp] = v;
  __syncthreads();
  v = warp_sum(lane < blockDim.x / WARP ? partial[lane] : 0.0f);
  __syncthreads();  // `partial` may be reused by the next call
  return v;
}
DEVICE float block_max(float v) {
  SHARED_ARRAY(float, partial, WARP);
  const u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
  v = warp_max(v);
  if (lane == 0) partial[warp] = v;
  __syncthreads();
  v = warp_max(lane < blockDim.x / WARP ? partial[lane] : -INFINITY);
  __syncthreads();  // `partial` may be reused by the next call
  return v;
}
