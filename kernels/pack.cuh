// Packs: neighbouring elements that one thread moves together, 16 bytes at a time. What is bound by memory
// loads several packs before it uses the first, so that it waits for memory once.
#pragma once
#include "common.cuh"

constexpr u32 PACK = 8;  // channels of a thread: 16 bytes of bf16, twice 16 of f32

// The alignment is what makes one access of a pack.
template <typename T, u32 N = PACK>
struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) Pack { T at[N]; };

// The pack of body(0), body(1), ..
template <u32 N = PACK, typename Body>
DEVICE Pack<float, N> pack_of(Body body) {
  Pack<float, N> v;
#pragma unroll
  for (u32 i = 0; i < N; ++i) v.at[i] = body(i);
  return v;
}

// As `to_bf16` rounds; on the device two at a time in one instruction.
template <u32 N>
DEVICE Pack<bf16, N> to_bf16s(const Pack<float, N>& v) {
  Pack<bf16, N> rounded;
#pragma unroll
  for (u32 i = 0; i < N; i += 2) {
#ifdef __CUDACC_RTC__
    u32 both;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(v.at[i + 1]), "f"(v.at[i]));
    rounded.at[i].bits = u16(both);
    rounded.at[i + 1].bits = u16(both >> 16);
#else
    rounded.at[i] = to_bf16(v.at[i]);
    rounded.at[i + 1] = to_bf16(v.at[i + 1]);
#endif
  }
  return rounded;
}
#ifdef REAL_BF16
template <u32 N> DEVICE Pack<real, N> to_reals(const Pack<float, N>& v) { return to_bf16s(v); }
#else
template <u32 N> DEVICE Pack<real, N> to_reals(const Pack<float, N>& v) { return v; }
#endif

template <u32 N, typename T> DEVICE Pack<T, N> load_pack(const T* from) {
  return *reinterpret_cast<const Pack<T, N>*>(from);
}
template <u32 N> DEVICE void store_pack(float* to, const Pack<float, N>& v) {
  *reinterpret_cast<Pack<float, N>*>(to) = v;
}
template <u32 N> DEVICE void store_pack(bf16* to, const Pack<float, N>& v) {
  *reinterpret_cast<Pack<bf16, N>*>(to) = to_bf16s(v);
}
DEVICE void store_one(float* to, float v) { *to = v; }
DEVICE void store_one(bf16* to, float v) { *to = to_bf16(v); }
DEVICE bool is_aligned(const void* a, const void* b = nullptr, const void* c = nullptr,
                       const void* d = nullptr) {
  return (u64(a) | u64(b) | u64(c) | u64(d)) % 16 == 0;
}

// Places start, start + apart, .., of which a round is ROWS, and rounds are `stride` apart: a round is loaded
// before the first of it is used; the last, and all where packs are not `whole`, come one by one.
template <u32 ROWS, typename Load, typename Use>
DEVICE void walk(bool whole, u64 start, u64 apart, u64 end, u64 stride, Load load, Use use) {
  for (u64 row = start; row < end; row += stride) {
    if (whole && row + (ROWS - 1) * apart < end) {
      decltype(load(row)) loaded[ROWS];
#pragma unroll
      for (u32 i = 0; i < ROWS; ++i) loaded[i] = load(row + i * apart);
#pragma unroll
      for (u32 i = 0; i < ROWS; ++i) use(row + i * apart, loaded[i]);
    } else {
#pragma unroll 1
      for (u32 i = 0; i < ROWS && row + i * apart < end; ++i) use(row + i * apart, load(row + i * apart));
    }
  }
}

// y[i] = body(x[0][i], x[1][i], ..), all of n elements, by the whole of a one-dimensional grid.
template <u32 INPUTS, typename X, typename Y, typename Body>
DEVICE void map(const X* const (&x)[INPUTS], Y* y, u64 n, Body body) {
  constexpr u32 N = 16 / (sizeof(X) > sizeof(Y) ? sizeof(X) : sizeof(Y));
  constexpr u32 TOGETHER = 4 / INPUTS;
  struct Input { Pack<X, N> of[INPUTS]; };
  const u64 packs = is_aligned(x[0], x[INPUTS - 1], y) ? n / N : 0, round = TOGETHER * blockDim.x;
  walk<TOGETHER>(true, blockIdx.x * round + threadIdx.x, blockDim.x, packs, gridDim.x * round,
      [&](u64 pack) {
        Input in;
#pragma unroll
        for (u32 k = 0; k < INPUTS; ++k) in.of[k] = load_pack<N>(x[k] + pack * N);
        return in;
      },
      [&](u64 pack, const Input& in) {
        store_pack(y + pack * N, pack_of<N>([&](u32 i) {
          float v[INPUTS];
#pragma unroll
          for (u32 k = 0; k < INPUTS; ++k) v[k] = to_float(in.of[k].at[i]);
          return body(v);
        }));
      });
  for (u64 i = packs * N + thread_index(); i < n; i += thread_count()) {
    float v[INPUTS];
    for (u32 k = 0; k < INPUTS; ++k) v[k] = to_float(x[k][i]);
    store_one(y + i, body(v));
  }
}

// Elements first .. first + count of any row of a (rows, width) matrix. `whole` where width is a multiple of
// PACK: then there are PACK of them, and they begin at a multiple of 16 bytes.
struct Lane {
  u32 first, count;
  bool whole;

  template <typename T> DEVICE Pack<T> load(const T* row) const {
    if (whole) return load_pack<PACK>(row + first);
    Pack<T> v = {};
#pragma unroll
    for (u32 i = 0; i < PACK; ++i)
      if (i < count) v.at[i] = row[first + i];
    return v;
  }
  template <typename T> DEVICE void store(T* row, const Pack<T>& v) const {
    if (whole) {
      *reinterpret_cast<Pack<T>*>(row + first) = v;
      return;
    }
#pragma unroll
    for (u32 i = 0; i < PACK; ++i)
      if (i < count) row[first + i] = v.at[i];
  }
};

// Calls body with lane `pack` of a row, if there is such a lane. Two calls, each with a constant `whole`: the
// compiler makes two bodies, and the one for whole packs has no branches.
template <typename Body>
DEVICE void with_lane(u32 pack, u32 width, Body body) {
  const u32 first = pack * PACK;
  if (first >= width) return;
  if (width % PACK == 0) body(Lane{first, PACK, true});
  else body(Lane{first, width - first < PACK ? width - first : PACK, false});
}

// The same where many packs are held at once: without whole packs, one lane of one element after another.
template <typename Body>
DEVICE void with_lanes(u32 pack, u32 width, Body body) {
  const u32 first = pack * PACK;
  if (first >= width) return;
  if (width % PACK == 0) body(Lane{first, PACK, true});
  else
#pragma unroll 1
    for (u32 at = first; at < width && at < first + PACK; ++at) body(Lane{at, 1, false});
}
