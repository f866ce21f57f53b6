// What compute capability 9.0 has beyond 8.0, as verbs: mbarriers, copies of tensor tiles, wgmma. PTX for
// NVRTC; on the host src/device/emulator answers (emulated_hopper.cuh).
#pragma once
#include "ptx.cuh"

// What a launch encodes of a `TensorMap` of src/device/tensor_map.rs.
struct alignas(64) TensorMap { u64 words[16]; };

// Where the 16-byte chunks of a tile are, in rows of as many bytes; the codes are those of matrix descriptors.
enum Swizzle : u32 { SWIZZLE_NONE, SWIZZLE_128, SWIZZLE_64, SWIZZLE_32 };
// Which index of an operand is contiguous: k, or the row of A and the column of B.
enum Major : u32 { K_MAJOR, MN_MAJOR };

// Offset in a swizzled tile of what stands at `offset` without; the tile begins at a multiple of 1024 bytes.
template <Swizzle SWIZZLE>
DEVICE u32 swizzled(u32 offset) {
  constexpr u32 chunks = SWIZZLE == SWIZZLE_128 ? 7 : SWIZZLE == SWIZZLE_64 ? 3 : SWIZZLE == SWIZZLE_32 ? 1 : 0;
  return offset ^ (offset >> 7 & chunks) << 4;
}

// The widths that wgmma is offered in.
DEVICE constexpr bool wgmma_has(u32 n) {
  return n == 8 || n == 16 || n == 32 || n == 64 || n == 96 || n == 128 || n == 192 || n == 256;
}

#ifdef __CUDACC_RTC__
#include "ptx_sm90.cuh"
#else
#include "emulated_hopper.cuh"
#endif

// An operand of wgmma: core matrices of 8 rows of 16 bytes (swizzled: of as many bytes as the swizzle spans).
// K_MAJOR: `stride_bytes` from 8 rows to the next 8, `leading_bytes` from one k of 8 to the next, unless swizzled.
// MN_MAJOR: `stride_bytes` from 8 k to the next 8, `leading_bytes` from one span of rows to the next; without a
// swizzle the other way round.
DEVICE u64 matrix_descriptor(const void* shared, u32 leading_bytes, u32 stride_bytes, Swizzle swizzle) {
  return u64(shared_address(shared) >> 4) | u64(leading_bytes >> 4) << 16 | u64(stride_bytes >> 4) << 32 | u64(swizzle) << 62;
}
// The same operand `bytes` further on: the next 16 of k.
DEVICE u64 advanced(u64 descriptor, u32 bytes) { return descriptor + (bytes >> 4); }
