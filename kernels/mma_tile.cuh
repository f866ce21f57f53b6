// A tile of a matrix product on tensor cores, SIDE_M x SIDE_N by four warps, 64 terms of the sum at a
// time: what the convolutions and matmul share in bf16. Operands are read in chunks of eight neighbours
// (16 bytes) through a functor, copied asynchronously into a ring of stages in shared memory.
//
// An operand says:
//   static constexpr bool ALONG_SUM    whether a chunk's neighbours follow each other along the sum, or
//                                      along the tile's side;
//   Line line(u32 i)                   all that index i of the side has to know, found once: a row, or
//                                      the first column of a chunk;
//   const bf16* at(Line, u32 k)        the chunk at term k of the sum; nullptr where it is zero;
//   const bf16* anywhere()             an address to give where nothing is read.
#pragma once
#include "tile_output.cuh"

constexpr u32 MMA_DEPTH = 64;      // 128 bytes: a row of shared memory that meets every bank once
constexpr u32 MMA_THREADS = 128;   // warps of 64 rows each way read shared memory least
constexpr u32 MMA_STAGES = 3;
constexpr u32 ROW_BYTES = 2 * MMA_DEPTH;

// Quotients by a number that is known before the loop, without a division in it: n < 2^31.
struct Divisor {
  u32 divisor, multiplier, shift;  // multiplier = 2^(31 + shift) / divisor, rounded up
  DEVICE explicit Divisor(u32 d) : divisor(d), shift(d > 1 ? 32 - __clz(d - 1) : 0) {
    multiplier = u32(((u64(1) << (31 + shift)) + d - 1) / d);
  }
  DEVICE u32 quotient(u32 n) const { return __umulhi(n << 1, multiplier) >> shift; }
  DEVICE u32 split(u32 n, u32& rest) const {
    const u32 quotient = this->quotient(n);
    rest = n - quotient * divisor;
    return quotient;
  }
};

// A matrix whose rows run along the sum, `stride` elements apart.
struct MatrixRows {
  static constexpr bool ALONG_SUM = true;
  const bf16* matrix;
  u32 rows, stride;
  struct Line { const bf16* at; };
  DEVICE Line line(u32 row) const { return {row < rows ? matrix + u64(row) * stride : nullptr}; }
  DEVICE const bf16* at(const Line& line, u32 k) const { return line.at ? line.at + k : nullptr; }
  DEVICE const bf16* anywhere() const { return matrix; }
};
// A matrix whose columns do: term k is row k.
struct MatrixColumns {
  static constexpr bool ALONG_SUM = false;
  const bf16* matrix;
  u32 columns, stride;
  struct Line { u32 column; };
  DEVICE Line line(u32 column) const { return {column}; }
  DEVICE const bf16* at(const Line& line, u32 k) const {
    return line.column < columns ? matrix + u64(k) * stride + line.column : nullptr;
  }
  DEVICE const bf16* anywhere() const { return matrix; }
};

// An operand's tile is made of panels of rows of 128 bytes: rows of the side where chunks run along the
// sum, else rows of the sum, 64 columns of the side a panel. Chunks are permuted within their row, so
// that eight rows of one column meet different banks.
DEVICE u32 chunk_offset(u32 row, u32 chunk) { return row * ROW_BYTES + ((chunk ^ (row % 8)) * 16); }

template <class Operand, u32 SIDE>
struct Staging {
  static constexpr bool ALONG_SUM = Operand::ALONG_SUM;
  static constexpr u32 BYTES = SIDE * ROW_BYTES;
  static constexpr u32 ROW_CHUNKS = ALONG_SUM ? MMA_DEPTH / CHUNK : SIDE / CHUNK;  // that lie side by side
  static constexpr u32 COPIES = SIDE * MMA_DEPTH / CHUNK / MMA_THREADS;
  static constexpr u32 LINES = ALONG_SUM ? COPIES : 1;
  static constexpr u32 STEP = MMA_THREADS / ROW_CHUNKS;  // rows between a thread's copies

  const Operand& operand;
  typename Operand::Line lines[LINES];
  u32 row, chunk;  // of this thread's first copy

  DEVICE Staging(const Operand& operand, u32 first) : operand(operand) {
    row = threadIdx.x / ROW_CHUNKS, chunk = threadIdx.x % ROW_CHUNKS;
#pragma unroll
    for (u32 i = 0; i < LINES; i++)
      lines[i] = operand.line(first + (ALONG_SUM ? row + i * STEP : chunk * CHUNK));
  }

  // Starts copying the terms from k on, as far as `end`, to `stage`.
  DEVICE void copy(u8* stage, u32 k, u32 end) const {
#pragma unroll
    for (u32 i = 0; i < COPIES; i++) {
      const u32 r = row + i * STEP;
      const u32 term = k + (ALONG_SUM ? chunk * CHUNK : r);
      const bf16* from = term < end ? operand.at(lines[ALONG_SUM ? i : 0], term) : nullptr;
      const u32 panel = ALONG_SUM ? 0 : chunk / 8 * MMA_DEPTH * ROW_BYTES;
      copy_async(stage + panel + chunk_offset(r, chunk % 8), from ? from : operand.anywhere(), from ? 16 : 0);
    }
  }
};

// Fragments of 16 terms, `slice` of four, as mma takes them: BLOCKS of 16 rows (of A) from `first` on.
template <bool ALONG_SUM, u32 BLOCKS>
DEVICE void load_rows(u32 (&a)[BLOCKS][4], const u8* stage, u32 first, u32 slice) {
  const u32 lane = threadIdx.x % WARP;
#pragma unroll
  for (u32 i = 0; i < BLOCKS; i++) {
    const u32 at = first + 16 * i;
    if (ALONG_SUM) {
      load_matrices(a[i], stage + chunk_offset(at + lane % 16, 2 * slice + lane / 16));
    } else {
      const u8* panel = stage + at / 64 * MMA_DEPTH * ROW_BYTES;
      const u32 row = 16 * slice + lane % 8 + lane / 16 * 8;
      load_matrices_transposed(a[i], panel + chunk_offset(row, at % 64 / 8 + lane / 8 % 2));
    }
  }
}

// The same of B: BLOCKS of 8 columns.
template <bool ALONG_SUM, u32 BLOCKS>
DEVICE void load_columns(u32 (&b)[BLOCKS][2], const u8* stage, u32 first, u32 slice) {
  const u32 lane = threadIdx.x % WARP;
#pragma unroll
  for (u32 i = 0; i < BLOCKS; i += 2) {
    const u32 at = first + 8 * i;
    u32 pair[4];
    if (ALONG_SUM) {
      load_matrices(pair, stage + chunk_offset(at + lane % 8 + lane / 16 * 8, 2 * slice + lane / 8 % 2));
    } else {
      const u8* panel = stage + at / 64 * MMA_DEPTH * ROW_BYTES;
      load_matrices_transposed(pair, panel + chunk_offset(16 * slice + lane % 16, at % 64 / 8 + lane / 16));
    }
    b[i][0] = pair[0], b[i][1] = pair[1], b[i + 1][0] = pair[2], b[i + 1][1] = pair[3];
  }
}

// The tile's shape, and which part of it a warp and a lane hold: two warps down, two across.
template <u32 M, u32 N>
struct MmaTile {
  static constexpr u32 WARP_M = M / 2, WARP_N = N / 2;
  static constexpr u32 ROWS = WARP_M / 16, COLUMNS = WARP_N / 8;  // blocks of mma a warp
  static constexpr u32 STAGE_BYTES = (M + N) * ROW_BYTES;
  using Output = TileOutput<M, N, MMA_THREADS>;

  float sum[ROWS][COLUMNS][4];

  DEVICE static u32 warp_row() { return threadIdx.x / WARP % 2 * WARP_M; }
  DEVICE static u32 warp_column() { return threadIdx.x / WARP / 2 * WARP_N; }

  // sum = over k in [begin, end) of a(row0 + i, k) b(k, col0 + j).
  template <class A, class B>
  DEVICE void product(u8* shared, u32 row0, u32 col0, u32 begin, u32 end, const A& a, const B& b) {
    const Staging<A, M> rows(a, row0);
    const Staging<B, N> columns(b, col0);
    const u32 steps = (end - begin + MMA_DEPTH - 1) / MMA_DEPTH;
    auto copy = [&](u32 step) {
      if (step < steps) {
        u8* stage = shared + step % MMA_STAGES * STAGE_BYTES;
        rows.copy(stage, begin + step * MMA_DEPTH, end);
        columns.copy(stage + rows.BYTES, begin + step * MMA_DEPTH, end);
      }
      copy_async_commit();  // empty past the end, so that the count of open ones stays right
    };
    clear();
    for (u32 step = 0; step < MMA_STAGES - 1; step++) copy(step);
    for (u32 step = 0; step < steps; step++) {
      copy_async_wait<MMA_STAGES - 2>();
      __syncthreads();  // this stage has come for all threads, and all are done with the one before it
      copy(step + MMA_STAGES - 1);
      const u8* stage = shared + step % MMA_STAGES * STAGE_BYTES;
      multiply<A::ALONG_SUM, B::ALONG_SUM>(stage, stage + rows.BYTES);
    }
    copy_async_wait<0>();
  }

  DEVICE void clear() {
#pragma unroll
    for (u32 i = 0; i < ROWS; i++)
#pragma unroll
      for (u32 j = 0; j < COLUMNS; j++)
#pragma unroll
        for (u32 v = 0; v < 4; v++) sum[i][j][v] = 0.0f;
  }

  // One stage. The next slice's fragments are on their way while this one's are multiplied.
  template <bool A_ALONG_SUM, bool B_ALONG_SUM>
  DEVICE void multiply(const u8* rows, const u8* columns) {
    u32 a[2][ROWS][4], b[2][COLUMNS][2];
    load_rows<A_ALONG_SUM>(a[0], rows, warp_row(), 0);
    load_columns<B_ALONG_SUM>(b[0], columns, warp_column(), 0);
#pragma unroll
    for (u32 slice = 0; slice < MMA_DEPTH / 16; slice++) {
      if (slice + 1 < MMA_DEPTH / 16) {
        load_rows<A_ALONG_SUM>(a[(slice + 1) % 2], rows, warp_row(), slice + 1);
        load_columns<B_ALONG_SUM>(b[(slice + 1) % 2], columns, warp_column(), slice + 1);
      }
      mma_tile(sum, a[slice % 2], b[slice % 2]);
    }
  }

  // Calls body(row, column, first, second) for every pair of neighbouring sums this lane holds.
  template <class Body>
  DEVICE void for_each_pair(Body body) {
    const u32 lane = threadIdx.x % WARP;
#pragma unroll
    for (u32 i = 0; i < ROWS; i++)
#pragma unroll
      for (u32 j = 0; j < COLUMNS; j++)
#pragma unroll
        for (u32 half = 0; half < 2; half++) {
          const u32 row = warp_row() + 16 * i + lane / 4 + 8 * half;
          body(row, warp_column() + 8 * j + lane % 4 * 2, sum[i][j][2 * half], sum[i][j][2 * half + 1]);
        }
  }

  // Puts the tile into shared memory as bf16; all threads see it on return.
  DEVICE void round_to(u8* shared) {
    Output::sync();  // the stages have been read
    for_each_pair([&](u32 row, u32 column, float first, float second) {
      Output::put(shared, row, column, first, second);
    });
    Output::sync();
  }
};
