// conv2d on tensor cores: the three products as tiles of 128 rows. Channels come in chunks of eight, so
// that c and k are multiples of eight; other convolutions take the plain kernels.
#pragma once
#include "mma_tile.cuh"

// x seen by (output pixel, (r, s, c)): the rows of forward, and the columns of the weight gradient.
struct Pixels {
  const Window& g;
  const bf16* x;
  Divisor by_p, by_q;
  DEVICE Pixels(const Window& g, const bf16* x) : g(g), x(x), by_p(g.p), by_q(g.q) {}
  struct Corner { const bf16* at; i32 h, w; };  // the window's first pixel, which may lie outside
  DEVICE Corner corner(u32 pixel) const {
    u32 p, q;
    const u32 n = by_p.split(by_q.split(pixel, q), p);
    const i32 h = i32(p * g.stride) - i32(g.padding), w = i32(q * g.stride) - i32(g.padding);
    return {x + ((i64(n) * g.h + h) * g.w + w) * i64(g.c), h, w};
  }
  DEVICE const bf16* at(const Corner& corner, u32 r, u32 s, u32 c) const {
    if (u32(corner.h + i32(r)) >= g.h || u32(corner.w + i32(s)) >= g.w) return nullptr;
    return corner.at + u64(r * g.w + s) * g.c + c;
  }
};

struct WindowRows {
  static constexpr bool ALONG_SUM = true;
  Pixels pixels;
  Divisor by_c, by_s;
  u32 rows;
  DEVICE WindowRows(const Window& g, const bf16* x) : pixels(g, x), by_c(g.c), by_s(g.s), rows(g.n * g.p * g.q) {}
  using Line = Pixels::Corner;
  DEVICE Line line(u32 row) const {
    if (row >= rows) return {pixels.x, -0x10000, -0x10000};  // outside whatever the tap
    return pixels.corner(row);
  }
  DEVICE const bf16* at(const Line& line, u32 k) const {
    u32 c, s;
    const u32 r = by_s.split(by_c.split(k, c), s);
    return pixels.at(line, r, s, c);
  }
  DEVICE const bf16* anywhere() const { return pixels.x; }
};

struct WindowColumns {
  static constexpr bool ALONG_SUM = false;
  Pixels pixels;
  u32 columns;
  DEVICE WindowColumns(const Window& g, const bf16* x) : pixels(g, x), columns(g.r * g.s * g.c) {}
  struct Line { u32 r, s, c; };
  DEVICE Line line(u32 column) const {
    if (column >= columns) return {0x10000, 0, 0};
    const Window& g = pixels.g;
    return {column / g.c / g.s, column / g.c % g.s, column % g.c};
  }
  DEVICE const bf16* at(const Line& line, u32 pixel) const {
    return pixels.at(pixels.corner(pixel), line.r, line.s, line.c);
  }
  DEVICE const bf16* anywhere() const { return pixels.x; }
};

// Input pixels h = first_h + stride i, w = first_w + stride j: those that the same taps reach, every
// stride-th from first_r and first_s on. At stride 1 there is one phase and every tap is its.
struct Phase {
  u32 first_h, first_w, rows, columns;  // pixels (n, rows, columns) of this phase
  u32 first_r, first_s, taps_r, taps_s;
  i32 p, q;                             // the output pixel that reaches pixel (0, 0) by the first tap
  DEVICE Phase(const Window& g, u32 phase) {
    first_h = phase / g.stride, first_w = phase % g.stride;
    rows = count(g.h, first_h, g.stride), columns = count(g.w, first_w, g.stride);
    first_r = (first_h + g.padding) % g.stride, first_s = (first_w + g.padding) % g.stride;
    taps_r = count(g.r, first_r, g.stride), taps_s = count(g.s, first_s, g.stride);
    p = i32((first_h + g.padding) / g.stride), q = i32((first_w + g.padding) / g.stride);
  }
  // How many of first, first + stride, ... are below n.
  DEVICE static u32 count(u32 n, u32 first, u32 stride) { return first < n ? (n - first - 1) / stride + 1 : 0; }
};

// dy seen by (input pixel of a phase, (tap, k)).
struct ReachingRows {
  static constexpr bool ALONG_SUM = true;
  const Window& g;
  const bf16* dy;
  const Phase& phase;
  Divisor by_rows, by_columns, by_k, by_taps;
  DEVICE ReachingRows(const Window& g, const bf16* dy, const Phase& phase)
      : g(g), dy(dy), phase(phase), by_rows(phase.rows), by_columns(phase.columns), by_k(g.k),
        by_taps(phase.taps_s ? phase.taps_s : 1) {}
  struct Line { const bf16* at; i32 p, q; };
  DEVICE Line line(u32 row) const {
    u32 i, j;
    const u32 n = by_rows.split(by_columns.split(row, j), i);
    if (n >= g.n) return {dy, -0x10000, -0x10000};
    const i32 p = phase.p + i32(i), q = phase.q + i32(j);
    return {dy + ((i64(n) * g.p + p) * g.q + q) * i64(g.k), p, q};
  }
  DEVICE const bf16* at(const Line& line, u32 term) const {
    u32 k, s;
    const u32 r = by_taps.split(by_k.split(term, k), s);
    if (u32(line.p - i32(r)) >= g.p || u32(line.q - i32(s)) >= g.q) return nullptr;
    return line.at - i64(r * g.q + s) * g.k + k;
  }
  DEVICE const bf16* anywhere() const { return dy; }
};

// The weight seen by ((tap of a phase, k), c).
struct TapColumns {
  static constexpr bool ALONG_SUM = false;
  const Window& g;
  const bf16* weight;
  const Phase& phase;
  Divisor by_k, by_taps;
  DEVICE TapColumns(const Window& g, const bf16* weight, const Phase& phase)
      : g(g), weight(weight), phase(phase), by_k(g.k), by_taps(phase.taps_s ? phase.taps_s : 1) {}
  struct Line { u32 c; };
  DEVICE Line line(u32 c) const { return {c}; }
  DEVICE const bf16* at(const Line& line, u32 term) const {
    u32 k, s;
    const u32 r = by_taps.split(by_k.split(term, k), s);
    if (line.c >= g.c) return nullptr;
    const u32 tap = (phase.first_r + r * g.stride) * g.s + phase.first_s + s * g.stride;
    return weight + (u64(k) * g.r * g.s + tap) * g.c + line.c;
  }
  DEVICE const bf16* anywhere() const { return weight; }
};

// Which tile of (rows, columns) a block makes. Columns are numbered fastest: blocks that share rows run
// together, and read them from device memory once.
struct Place {
  u32 row0, col0;
  DEVICE Place(u32 m, u32 n, u32 columns) {
    const u32 across = (columns + n - 1) / n;
    row0 = blockIdx.x / across * m, col0 = blockIdx.x % across * n;
  }
};

// The end of forward, whatever made the tile.
template <u32 M, u32 N, u32 THREADS>
DEVICE void put_forward(const Conv2dForward& p, const u8* shared, const Place& at) {
  using Output = TileOutput<M, N, THREADS>;
  const u32 k = p.g.k, rows = p.g.n * p.g.p * p.g.q;
  Output::for_each_chunk(shared, [&](u32 row, u32 column, const uint4& chunk) {
    const u32 r = at.row0 + row, c = at.col0 + column;
    if (r < rows && c < k) store_chunk(p.y + u64(r) * k + c, chunk);
  });
  if (p.statistics == nullptr) return;
  float* mean = p.statistics + u64(at.row0 / M) * 2 * k + at.col0;
  Output::statistics(shared, min(rows - at.row0, M), k - at.col0, mean, mean + k);
}

// The end of input_gradient: rows are pixels of a phase.
template <u32 M, u32 N, u32 THREADS>
DEVICE void put_input_gradient(const Conv2dInputGradient& p, const u8* shared, const Place& at, const Phase& phase) {
  const Window& g = p.g;
  const Divisor by_rows(phase.rows), by_columns(phase.columns);
  TileOutput<M, N, THREADS>::for_each_chunk(shared, [&](u32 row, u32 column, const uint4& chunk) {
    u32 i, j;
    const u32 n = by_rows.split(by_columns.split(at.row0 + row, j), i), c = at.col0 + column;
    if (n >= g.n || c >= g.c) return;
    const u64 pixel = (u64(n) * g.h + phase.first_h + i * g.stride) * g.w + phase.first_w + j * g.stride;
    const u64 offset = pixel * g.c + c;
    store_chunk(p.dx + offset, p.onto == nullptr ? chunk : sum_of(chunk, load_chunk(p.onto + offset)));
  });
}

// The end of weight_gradient: a pair of neighbouring columns.
DEVICE void put_partial(const Conv2dWeightGradient& p, u32 row, u32 column, float first, float second) {
  const u32 columns = p.g.r * p.g.s * p.g.c;
  if (row >= p.g.k || column >= columns) return;
  float* partial = p.partial + (u64(blockIdx.y) * p.g.k + row) * columns + column;
  *reinterpret_cast<float2*>(partial) = make_float2(first, second);
}

template <u32 M, u32 N>
DEVICE void forward_tile(const Conv2dForward& p) {
  DYNAMIC_SHARED_ALIGNED(u8, shared, 128);
  const Window& g = p.g;
  const Place at(M, N, g.k);
  const u32 terms = g.r * g.s * g.c;
  MmaTile<M, N> tile;
  tile.product(shared, at.row0, at.col0, 0, terms, WindowRows(g, p.x), MatrixRows{p.weight, g.k, terms});
  tile.round_to(shared);
  put_forward<M, N, MMA_THREADS>(p, shared, at);
}

template <u32 M, u32 N>
DEVICE void input_gradient_tile(const Conv2dInputGradient& p) {
  DYNAMIC_SHARED_ALIGNED(u8, shared, 128);
  const Window& g = p.g;
  const Phase phase(g, blockIdx.y);
  const Place at(M, N, g.c);
  if (at.row0 >= g.n * phase.rows * phase.columns) return;  // phases differ by a row or a column of pixels
  MmaTile<M, N> tile;
  const ReachingRows dy(g, p.dy, phase);
  tile.product(shared, at.row0, at.col0, 0, phase.taps_r * phase.taps_s * g.k, dy, TapColumns(g, p.weight, phase));
  tile.round_to(shared);
  put_input_gradient<M, N, MMA_THREADS>(p, shared, at, phase);
}

template <u32 M, u32 N>
DEVICE void weight_gradient_tile(const Conv2dWeightGradient& p) {
  DYNAMIC_SHARED_ALIGNED(u8, shared, 128);
  const Window& g = p.g;
  const Place at(M, N, g.r * g.s * g.c);
  const u32 begin = blockIdx.y * p.range, end = min(begin + p.range, g.n * g.p * g.q);
  MmaTile<M, N> tile;
  tile.product(shared, at.row0, at.col0, begin, end, MatrixColumns{p.dy, g.k, g.k}, WindowColumns(g, p.x));
  tile.for_each_pair([&](u32 row, u32 column, float first, float second) {
    put_partial(p, at.row0 + row, at.col0 + column, first, second);
  });
}
