// Kernels that the emulator is tested with: sound ones, on which it must stay silent, and ones with a bug
// planted, which it must find. All take x and y, two blocks of 128 threads, unless said otherwise.
#include "common.cuh"

// ---- sound ----

// x, y (n). y[i] = the sum of x over the block of i, by warps and shared memory.
struct SoundSum { const float* x; float* y; };

KERNEL(sound_sum, SoundSum) {
  const u64 i = thread_index();
  p.y[i] = block_sum(p.x[i]);
}

// x, y (n). y[i] = the sum of eight neighbours' values to the right in the block, wrapped around.
struct SoundRotation { const float* x; float* y; };

KERNEL_BOUNDS(sound_rotation, SoundRotation, 128) {
  SHARED_ARRAY(float, tile, 128);
  float sum = 0.0f;
  for (u32 step = 1; step <= 8; step++) {
    tile[threadIdx.x] = p.x[thread_index()];
    __syncthreads();
    sum += tile[(threadIdx.x + step) % 128];
    __syncthreads();
  }
  p.y[thread_index()] = sum;
}

// x, y (n). y[i] = the sum of x over the lanes of the warp up to i; by __shfl_up_sync, a vote and a 64-bit value.
struct SoundScan { const float* x; float* y; };

KERNEL(sound_scan, SoundScan) {
  const u32 lane = threadIdx.x % WARP;
  float sum = p.x[thread_index()];
  for (u32 step = 1; step < WARP; step *= 2) {
    const float below = __shfl_up_sync(ALL_LANES, sum, step);
    if (lane >= step) sum += below;
  }
  const u32 odd = __ballot_sync(ALL_LANES, lane % 2);
  const u64 wide = __shfl_sync(ALL_LANES, u64(lane) << 40, 5);
  const bool fine = odd == 0xaaaaaaaau && wide == 5ull << 40 && __all_sync(ALL_LANES, 1) && !__any_sync(ALL_LANES, 0);
  p.y[thread_index()] = fine ? sum : -1.0f;
}

// x, y (n). Half of each block leaves before the barrier, which then counts the rest; y = x either way.
struct SoundExit { const float* x; float* y; };

KERNEL(sound_exit, SoundExit) {
  const u64 i = thread_index();
  p.y[i] = p.x[i];
  if (threadIdx.x >= 64) return;
  __syncthreads();
  p.y[i] = __shfl_xor_sync(ALL_LANES, p.y[i], 1);
  __syncwarp();
  p.y[i] = __shfl_xor_sync(ALL_LANES, p.y[i], 1);
}

// x, y (n). Two warps write dynamic shared memory and arrive, two others wait for them and read.
struct SoundHandover { const float* x; float* y; };

KERNEL(sound_handover, SoundHandover) {
  DYNAMIC_SHARED(float, tile);
  const u32 t = threadIdx.x;
  const u64 block = u64(blockIdx.x) * 128;
  if (t < 64) {
    tile[t] = p.x[block + t];
    tile[t + 64] = p.x[block + t + 64];
    barrier_arrive(1, 128);
  } else {
    barrier_sync(1, 128);
    p.y[block + t] = tile[t];
    p.y[block + t - 64] = tile[t - 64];
  }
}

// y (n), x unused; the u32 that y begins with are counters. Every thread adds 1 to y[0] and to y[1 + t % 4];
// y[5] = the largest of 256 numbers, y[6] = the blocks that saw themselves come last: 1.
struct SoundCount { const float* x; float* y; };

KERNEL(sound_count, SoundCount) {
  u32* counters = reinterpret_cast<u32*>(p.y);
  atomicAdd(&counters[0], 1u);
  atomicAdd(&counters[1 + threadIdx.x % 4], 1u);
  atomicMax(&counters[5], u32(thread_index()));
  __syncthreads();
  if (threadIdx.x == 0 && atomicAdd(&counters[7], 1u) == gridDim.x - 1) atomicAdd(&counters[6], 1u);
}

// y (n) begins with a lock and a count, both zero bits; x unused. Every thread adds 1 to y[1] under the lock.
struct SoundLock { const float* x; float* y; };

KERNEL(sound_lock, SoundLock) {
  u32* lock = reinterpret_cast<u32*>(p.y);
  while (atomicCAS(lock, 0u, 1u) != 0u) {}
  volatile float* count = p.y + 1;
  const float before = *count;
  atomicAdd(lock + 2, 1u);  // a chance for others to break in
  *count = before + 1.0f;
  atomicExch(lock, 0u);
}

// ---- results that depend on the schedule ----

// As SoundSum, without the barrier between the warps' sums and their reader.
struct NoBarrier { const float* x; float* y; };

KERNEL(no_barrier, NoBarrier) {
  SHARED_ARRAY(float, partial, 4);
  const float sum = warp_sum(p.x[thread_index()]);
  if (threadIdx.x % WARP == 0) partial[threadIdx.x / WARP] = sum;
  p.y[thread_index()] = partial[0] + partial[1] + partial[2] + partial[3];
}

// As SoundRotation, without the second barrier.
struct NoSecondBarrier { const float* x; float* y; };

KERNEL(no_second_barrier, NoSecondBarrier) {
  SHARED_ARRAY(float, tile, 128);
  float sum = 0.0f;
  for (u32 step = 1; step <= 8; step++) {
    tile[threadIdx.x] = p.x[thread_index()] * step;
    __syncthreads();
    sum += tile[(threadIdx.x + step) % 128] / step;
  }
  p.y[thread_index()] = sum;
}

// y[i] = x[i ^ 1] through shared memory, as if lanes of a warp still ran in step.
struct NoSyncwarp { const float* x; float* y; };

KERNEL(no_syncwarp, NoSyncwarp) {
  SHARED_ARRAY(float, tile, 128);
  tile[threadIdx.x] = p.x[thread_index()];
  p.y[thread_index()] = tile[threadIdx.x ^ 1];
}

// y = x, except that the last element is forgotten.
struct Unwritten { const float* x; float* y; };

KERNEL(unwritten, Unwritten) {
  if (thread_index() + 1 < thread_count()) p.y[thread_index()] = p.x[thread_index()];
}

// y = x, plus a shared zero that nobody has set.
struct UnsetShared { const float* x; float* y; };

KERNEL(unset_shared, UnsetShared) {
  SHARED_ARRAY(float, zero, 1);
  p.y[thread_index()] = p.x[thread_index()] + zero[0];
}

// ---- what cannot be done ----

struct WritePastEnd { const float* x; float* y; };

KERNEL(write_past_end, WritePastEnd) {
  p.y[thread_index() + 1] = p.x[thread_index()];
}

struct ReadPastEnd { const float* x; float* y; };

KERNEL(read_past_end, ReadPastEnd) {
  p.y[thread_index()] = p.x[thread_index() + 1];
}

// One element before the start: no guard there, but a canary.
struct WriteBeforeStart { const float* x; float* y; };

KERNEL(write_before_start, WriteBeforeStart) {
  p.y[i64(thread_index()) - 1] = p.x[thread_index()];
}

struct SharedOverrun { const float* x; float* y; };

KERNEL(shared_overrun, SharedOverrun) {
  SHARED_ARRAY(float, before, 4);
  SHARED_ARRAY(float, tile, 100);
  if (threadIdx.x < 4) before[threadIdx.x] = 0.0f;
  float* first = tile;  // a pointer has no bounds that the compiler could check
  if (threadIdx.x < 112) first[threadIdx.x] = p.x[thread_index()];
  p.y[thread_index()] = p.x[thread_index()];
}

struct DynamicOverrun { const float* x; float* y; };

KERNEL(dynamic_overrun, DynamicOverrun) {
  DYNAMIC_SHARED(float, tile);
  tile[threadIdx.x + 1] = p.x[thread_index()];
  p.y[thread_index()] = p.x[thread_index()];
}

struct LargeFrame { const float* x; float* y; };

KERNEL(large_frame, LargeFrame) {
  volatile float local[40000];
  local[threadIdx.x] = p.x[thread_index()];
  local[39999 - threadIdx.x] = 1.0f;
  p.y[thread_index()] = local[threadIdx.x];
}

struct TooManyThreads { const float* x; float* y; };

KERNEL_BOUNDS(too_many_threads, TooManyThreads, 64) {
  p.y[thread_index()] = p.x[thread_index()];
}

// x holds a zero.
struct DivideByZero { const float* x; float* y; };

KERNEL(divide_by_zero, DivideByZero) {
  p.y[thread_index()] = float(1000 / int(p.x[thread_index()]));
}

struct Misaligned { const float* x; float* y; };

KERNEL(misaligned, Misaligned) {
  const float4 four = *reinterpret_cast<const float4*>(p.x + 1 + threadIdx.x);
  p.y[thread_index()] = four.x + four.w;
}

struct WideShift { const float* x; float* y; };

KERNEL(wide_shift, WideShift) {
  p.y[thread_index()] = float(1u << threadIdx.x);
}

struct LocalIndex { const float* x; float* y; };

KERNEL(local_index, LocalIndex) {
  float local[8];
  for (u32 i = 0; i < 8; i++) local[i] = p.x[i];
  p.y[thread_index()] = local[threadIdx.x % 16];
}

// Reads where nothing of its own is, but memory of the device all the same: y's, of which it is not told.
struct NotPassed { const float* x; u64 y; };

KERNEL(not_passed, NotPassed) {
  const float* y = reinterpret_cast<const float*>(~p.y);
  const_cast<float*>(p.x)[thread_index()] = y[thread_index()];
}

// ---- waiting for what does not come ----

struct NamedDeadlock { const float* x; float* y; };

KERNEL(named_deadlock, NamedDeadlock) {
  if (threadIdx.x < 96) barrier_sync(1, 128);
  p.y[thread_index()] = p.x[thread_index()];
}

struct DivergentBarrier { const float* x; float* y; };

KERNEL(divergent_barrier, DivergentBarrier) {
  if (threadIdx.x % 2 == 0) {
    __syncthreads();
  } else {
    __syncthreads();
  }
  p.y[thread_index()] = p.x[thread_index()];
}

// Half of each warp waits in a shuffle, half at the barrier.
struct ShuffleAndBarrier { const float* x; float* y; };

KERNEL(shuffle_and_barrier, ShuffleAndBarrier) {
  float v = p.x[thread_index()];
  if (threadIdx.x % WARP < 16) {
    v = __shfl_xor_sync(ALL_LANES, v, 1);
  } else {
    __syncthreads();
  }
  p.y[thread_index()] = v;
}

// The upper half of each warp never comes to the shuffle that names it.
struct ShuffleMask { const float* x; float* y; };

KERNEL(shuffle_mask, ShuffleMask) {
  if (threadIdx.x % WARP < 16) p.y[thread_index()] = __shfl_xor_sync(ALL_LANES, p.x[thread_index()], 1);
}

// Lanes meet in different collectives.
struct ShuffleAndVote { const float* x; float* y; };

KERNEL(shuffle_and_vote, ShuffleAndVote) {
  float v = p.x[thread_index()];
  if (threadIdx.x % 2 == 0) {
    v = __shfl_xor_sync(ALL_LANES, v, 1);
  } else {
    v = float(__ballot_sync(ALL_LANES, 1));
  }
  p.y[thread_index()] = v;
}

// Polls memory that nobody writes.
struct EndlessLoop { const float* x; float* y; };

KERNEL(endless_loop, EndlessLoop) {
  const volatile float* flag = p.x;
  while (flag[thread_index()] != -1.0f) {}
  p.y[thread_index()] = 1.0f;
}

// Takes a lock twice.
struct EndlessLock { const float* x; float* y; };

KERNEL(endless_lock, EndlessLock) {
  u32* lock = reinterpret_cast<u32*>(p.y);
  while (atomicExch(lock, 1u) == 1u) {}
}
