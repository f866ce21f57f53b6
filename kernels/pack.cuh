// Packs: 8 neighbouring elements that one thread moves together, 16 bytes of bf16 or twice 16 of f32. What is
// bound by memory loads several packs before it uses the first, so that it waits for memory once.
#pragma once
#include "common.cuh"

constexpr u32 PACK = 8;

// For KERNEL_BOUNDS: so few registers that a multiprocessor holds `blocks` blocks of so many threads.
#ifdef __CUDACC_RTC__
#define RESIDENT(threads, blocks) threads, blocks
#else
#define RESIDENT(threads, blocks) threads
#endif

// The alignment is what makes one access of a pack (of u8, of 8 bytes).
template <typename T>
struct alignas(sizeof(T) * PACK < 16 ? sizeof(T) * PACK : 16) Pack { T at[PACK]; };

// The pack of body(0), body(1), ..
template <typename Body>
DEVICE Pack<float> pack_of(Body body) {
  Pack<float> v;
#pragma unroll
  for (u32 i = 0; i < PACK; ++i) v.at[i] = body(i);
  return v;
}

#if defined(REAL_BF16) && defined(__CUDACC_RTC__)
// As `to_bf16` rounds, two at a time in one instruction.
DEVICE Pack<real> to_reals(const Pack<float>& v) {
  Pack<real> rounded;
#pragma unroll
  for (u32 i = 0; i < PACK; i += 2) {
    u32 both;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(v.at[i + 1]), "f"(v.at[i]));
    rounded.at[i].bits = u16(both);
    rounded.at[i + 1].bits = u16(both >> 16);
  }
  return rounded;
}
#else
DEVICE Pack<real> to_reals(const Pack<float>& v) {
  Pack<real> rounded;
#pragma unroll
  for (u32 i = 0; i < PACK; ++i) rounded.at[i] = to_real(v.at[i]);
  return rounded;
}
#endif

// Elements first .. first + count of any row of a (rows, width) matrix. `whole` where width is a multiple of
// PACK: then there are PACK of them, and they begin at a multiple of 16 bytes.
struct Lane {
  u32 first, count;
  bool whole;

  template <typename T> DEVICE Pack<T> load(const T* row) const {
    if (whole) return *reinterpret_cast<const Pack<T>*>(row + first);
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

// Rows begin + y, of every `stride`, where a block is as many rows as it has threads down: each thread
// loads ROWS of its rows before it uses the first; singly where packs are not whole, and at the end.
template <u32 ROWS, typename Load, typename Use>
DEVICE void walk(Lane lane, u64 begin, u64 end, u64 stride, Load load, Use use) {
  const u32 down = blockDim.y;
  for (u64 row = begin + threadIdx.y; row < end; row += stride) {
    if (lane.whole && row + (ROWS - 1) * down < end) {
      decltype(load(row)) loaded[ROWS];
#pragma unroll
      for (u32 i = 0; i < ROWS; ++i) loaded[i] = load(row + i * down);
#pragma unroll
      for (u32 i = 0; i < ROWS; ++i) use(row + i * down, loaded[i]);
    } else {
#pragma unroll 1
      for (u32 i = 0; i < ROWS && row + i * down < end; ++i) use(row + i * down, load(row + i * down));
    }
  }
}
