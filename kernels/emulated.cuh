// The host side of the kernel headers: CUDA's words for a C++ compiler without CUDA. A CUDA thread is a
// fiber of src/device/emulator, which owns everything that waits; here are only names and arguments.
// Included by common.cuh wherever NVRTC is not the compiler.
#pragma once
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed char i8;
typedef short i16;
typedef int i32;
typedef long long i64;

// After the system headers, which use some of these words themselves.
#define __device__
#define __host__
#define __global__
#define __constant__ static
#define __shared__ use_SHARED_ARRAY_or_DYNAMIC_SHARED_instead  // red zones and poison need the macros
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) alignas(n)
#define __restrict__
#define warpSize 32

// ---- vector types, aligned as on the device ----
struct uint3 { u32 x, y, z; };
struct alignas(8) uint2 { u32 x, y; };
struct alignas(16) uint4 { u32 x, y, z, w; };
struct alignas(8) int2 { i32 x, y; };
struct alignas(16) int4 { i32 x, y, z, w; };
struct alignas(8) float2 { float x, y; };
struct float3 { float x, y, z; };
struct alignas(16) float4 { float x, y, z, w; };
inline uint2 make_uint2(u32 x, u32 y) { return {x, y}; }
inline uint4 make_uint4(u32 x, u32 y, u32 z, u32 w) { return {x, y, z, w}; }
inline int2 make_int2(i32 x, i32 y) { return {x, y}; }
inline int4 make_int4(i32 x, i32 y, i32 z, i32 w) { return {x, y, z, w}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float3 make_float3(float x, float y, float z) { return {x, y, z}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

// ---- what the runtime gives; the twins are in src/device/emulator/hooks.rs ----
struct EmulatedBlock { uint3 index, threads, blocks; };
struct EmulatedThread { uint3 index; const EmulatedBlock* block; };
// Where in the source a thread waits: every call that can wait takes one by default.
struct Site { const char* file; u32 line; };
#define EMULATED_SITE Site site = {__builtin_FILE(), __builtin_LINE()}
enum EmulatedShuffle : u32 { SHUFFLE_INDEX, SHUFFLE_UP, SHUFFLE_DOWN, SHUFFLE_XOR };

extern "C" {
extern __thread const EmulatedThread* emulated_thread;
void emulated_barrier(u32 id, u32 threads, Site site);
void emulated_barrier_arrive(u32 id, u32 threads, Site site);
void emulated_syncwarp(u32 mask, Site site);
u32 emulated_vote(u32 mask, bool predicate, Site site);
u64 emulated_shuffle(u32 mask, u64 value, EmulatedShuffle mode, u32 argument, u32 width, Site site);
void* emulated_shared_array(const void* key, const char* name, u64 bytes, u64 align, Site site);
void* emulated_dynamic_shared(u64 align);
void emulated_yield();  // a place where another thread may run; the schedule decides
[[noreturn]] void emulated_fail(const char* why, Site site);
}

#define threadIdx (emulated_thread->index)
#define blockIdx (emulated_thread->block->index)
#define blockDim (emulated_thread->block->threads)
#define gridDim (emulated_thread->block->blocks)

// ---- kernels ----
// A kernel is a symbol of C, one for each number type, which runs the body once for the current thread.
#ifdef REAL_BF16
#define EMULATED(name) emulated_bf16_##name
#else
#define EMULATED(name) emulated_f32_##name
#endif

#define KERNEL(name, Params)                              \
  static void body_##name(const Params& p);               \
  extern "C" void EMULATED(name)(const void* params) {    \
    body_##name(*static_cast<const Params*>(params));     \
  }                                                       \
  static void body_##name(const Params& p)

// The same with a limit on threads a block, which the device would refuse to exceed.
#define KERNEL_BOUNDS(name, Params, max_threads)          \
  static void body_##name(const Params& p);               \
  extern "C" void EMULATED(name)(const void* params) {    \
    emulated_bounds(max_threads, {__FILE__, __LINE__});   \
    body_##name(*static_cast<const Params*>(params));     \
  }                                                       \
  static void body_##name(const Params& p)

#define RESIDENT(threads, blocks) threads
#define KERNEL_BF16(name, Params, max_threads) KERNEL_BOUNDS(name, Params, max_threads)

inline void emulated_bounds(u32 max_threads, Site site) {
  if (blockDim.x * blockDim.y * blockDim.z > max_threads) emulated_fail("more threads than its bounds allow", site);
}
inline void __trap(EMULATED_SITE) { emulated_fail("__trap()", site); }

// ---- shared memory ----
// The key's address tells the arrays of a block apart: one a declaration, and one a template instance.
#define SHARED_ARRAY_ALIGNED(T, name, n, align)                                             \
  static char key_of_##name;                                                                \
  T(&name)[n] = *static_cast<T(*)[n]>(emulated_shared_array(                                \
      &key_of_##name, #name, sizeof(T) * (n), align, {__builtin_FILE(), __builtin_LINE()}))
#define SHARED_ARRAY(T, name, n) SHARED_ARRAY_ALIGNED(T, name, n, alignof(T))
#define DYNAMIC_SHARED_ALIGNED(T, name, align) T* name = static_cast<T*>(emulated_dynamic_shared(align))
#define DYNAMIC_SHARED(T, name) DYNAMIC_SHARED_ALIGNED(T, name, alignof(T))

// ---- barriers ----
inline void __syncthreads(EMULATED_SITE) { emulated_barrier(0, 0, site); }
inline void barrier_sync(u32 id, u32 threads, EMULATED_SITE) { emulated_barrier(id, threads, site); }
inline void barrier_arrive(u32 id, u32 threads, EMULATED_SITE) { emulated_barrier_arrive(id, threads, site); }
inline void __syncwarp(u32 mask = ~0u, EMULATED_SITE) { emulated_syncwarp(mask, site); }
inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
inline void __threadfence_block() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
inline void __nanosleep(u32) { emulated_yield(); }

// ---- votes and shuffles ----
inline u32 __ballot_sync(u32 mask, int predicate, EMULATED_SITE) { return emulated_vote(mask, predicate != 0, site); }
inline int __any_sync(u32 mask, int predicate, EMULATED_SITE) { return emulated_vote(mask, predicate != 0, site) != 0; }
inline int __all_sync(u32 mask, int predicate, EMULATED_SITE) { return emulated_vote(mask, predicate == 0, site) == 0; }

template <class T>
inline T emulated_shuffle_of(u32 mask, T value, EmulatedShuffle mode, u32 argument, int width, Site site) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "shuffles move 4 or 8 bytes");
  u64 bits = 0;
  memcpy(&bits, &value, sizeof(T));
  bits = emulated_shuffle(mask, bits, mode, argument, u32(width), site);
  memcpy(&value, &bits, sizeof(T));
  return value;
}
template <class T>
inline T __shfl_sync(u32 mask, T value, int from, int width = 32, EMULATED_SITE) {
  return emulated_shuffle_of(mask, value, SHUFFLE_INDEX, u32(from), width, site);
}
template <class T>
inline T __shfl_up_sync(u32 mask, T value, u32 by, int width = 32, EMULATED_SITE) {
  return emulated_shuffle_of(mask, value, SHUFFLE_UP, by, width, site);
}
template <class T>
inline T __shfl_down_sync(u32 mask, T value, u32 by, int width = 32, EMULATED_SITE) {
  return emulated_shuffle_of(mask, value, SHUFFLE_DOWN, by, width, site);
}
template <class T>
inline T __shfl_xor_sync(u32 mask, T value, int bits, int width = 32, EMULATED_SITE) {
  return emulated_shuffle_of(mask, value, SHUFFLE_XOR, u32(bits), width, site);
}

// ---- bits ----
template <class To, class From>
inline To emulated_bits(From value) {
  static_assert(sizeof(To) == sizeof(From), "");
  To bits;
  memcpy(&bits, &value, sizeof(To));
  return bits;
}
inline float __uint_as_float(u32 bits) { return emulated_bits<float>(bits); }
inline float __int_as_float(i32 bits) { return emulated_bits<float>(bits); }
inline u32 __float_as_uint(float value) { return emulated_bits<u32>(value); }
inline i32 __float_as_int(float value) { return emulated_bits<i32>(value); }
inline int __popc(u32 bits) { return __builtin_popcount(bits); }
inline int __ffs(i32 bits) { return __builtin_ffs(bits); }
inline int __clz(i32 bits) { return bits ? __builtin_clz(u32(bits)) : 32; }
inline u32 __umulhi(u32 a, u32 b) { return u32(u64(a) * b >> 32); }
template <class T>
inline T __ldg(const T* at) { return *at; }

// ---- atomics: blocks may run on several threads of the host, and any of them is a place to switch ----
inline float atomicAdd(float* at, float value) {
  emulated_yield();
  u32* bits = reinterpret_cast<u32*>(at);
  u32 old = __atomic_load_n(bits, __ATOMIC_SEQ_CST);
  while (!__atomic_compare_exchange_n(bits, &old, __float_as_uint(__uint_as_float(old) + value), false,
                                      __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {}
  return __uint_as_float(old);
}
template <class T>
inline T emulated_swap_if(T* at, T expected, T value) {
  __atomic_compare_exchange_n(at, &expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  return expected;
}
template <class T>
inline T emulated_replace_below(T* at, T value, bool above) {
  T old = __atomic_load_n(at, __ATOMIC_SEQ_CST);
  while ((above ? value > old : value < old) &&
         !__atomic_compare_exchange_n(at, &old, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {}
  return old;
}
#define EMULATED_ATOMICS(T)                                                                                              \
  inline T atomicAdd(T* at, T value) { return emulated_yield(), __atomic_fetch_add(at, value, __ATOMIC_SEQ_CST); }      \
  inline T atomicSub(T* at, T value) { return emulated_yield(), __atomic_fetch_sub(at, value, __ATOMIC_SEQ_CST); }      \
  inline T atomicOr(T* at, T value) { return emulated_yield(), __atomic_fetch_or(at, value, __ATOMIC_SEQ_CST); }        \
  inline T atomicAnd(T* at, T value) { return emulated_yield(), __atomic_fetch_and(at, value, __ATOMIC_SEQ_CST); }      \
  inline T atomicExch(T* at, T value) { return emulated_yield(), __atomic_exchange_n(at, value, __ATOMIC_SEQ_CST); }    \
  inline T atomicCAS(T* at, T old, T value) { return emulated_yield(), emulated_swap_if(at, old, value); }              \
  inline T atomicMax(T* at, T value) { return emulated_yield(), emulated_replace_below(at, value, true); }              \
  inline T atomicMin(T* at, T value) { return emulated_yield(), emulated_replace_below(at, value, false); }
EMULATED_ATOMICS(i32)
EMULATED_ATOMICS(u32)
EMULATED_ATOMICS(u64)

// ---- arithmetic; the fast forms are the exact ones here ----
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __sinf(float x) { return sinf(x); }
inline float __cosf(float x) { return cosf(x); }
inline float __powf(float x, float y) { return powf(x, y); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
inline float __fmul_rn(float x, float y) { return x * y; }
inline float __fadd_rn(float x, float y) { return x + y; }
inline float __saturatef(float x) { return fminf(fmaxf(x, 0.0f), 1.0f); }
inline int __float2int_rn(float x) { return int(rintf(x)); }
inline int __float2int_rd(float x) { return int(floorf(x)); }
#define EMULATED_MIN_MAX(T)                         \
  inline T min(T a, T b) { return b < a ? b : a; }  \
  inline T max(T a, T b) { return a < b ? b : a; }
EMULATED_MIN_MAX(i32)
EMULATED_MIN_MAX(u32)
EMULATED_MIN_MAX(i64)
EMULATED_MIN_MAX(u64)
EMULATED_MIN_MAX(unsigned long)
inline u32 min(i32 a, u32 b) { return min(u32(a), b); }
inline u32 min(u32 a, i32 b) { return min(a, u32(b)); }
inline u32 max(i32 a, u32 b) { return max(u32(a), b); }
inline u32 max(u32 a, i32 b) { return max(a, u32(b)); }
inline u64 min(u64 a, unsigned long b) { return min(a, u64(b)); }
inline u64 max(u64 a, unsigned long b) { return max(a, u64(b)); }
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
