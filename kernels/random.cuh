// Counter-based randomness: the twin of src/random.rs, bit for bit. Philox4x32-10 (Salmon et al. 2011).
#pragma once
#include "common.cuh"

// What a stream of draws is for; the numbers are those of `Purpose` in src/random.rs.
constexpr u32 PURPOSE_COLOR = 4;
constexpr u32 PURPOSE_NEGATIVES = 7;
constexpr u32 PURPOSE_DROPOUT = 9;

// A stream of draws: its counter is (block, sample, epoch, view << 16 | purpose), its key the seed.
struct Draws {
  u32 key[2], counter[4], block[4], used;
};

DEVICE Draws draws_new(u64 seed, u32 purpose, u32 epoch, u32 sample, u32 view) {
  return {{u32(seed), u32(seed >> 32)}, {0, sample, epoch, view << 16 | purpose}, {}, 4};
}

// The same stream from draw 4 `block` on.
DEVICE Draws draws_from_block(Draws d, u32 block) {
  d.counter[0] = block;
  d.used = 4;
  return d;
}

// Ten rounds on the counter, into the block.
DEVICE void philox(Draws& d) {
  u32 a = d.counter[0], b = d.counter[1], c = d.counter[2], e = d.counter[3];
  u32 k0 = d.key[0], k1 = d.key[1];
  for (u32 round = 0; round < 10; round++) {
    const u64 first = u64(0xD2511F53u) * a, second = u64(0xCD9E8D57u) * c;
    a = u32(second >> 32) ^ b ^ k0;
    b = u32(second);
    c = u32(first >> 32) ^ e ^ k1;
    e = u32(first);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  d.block[0] = a, d.block[1] = b, d.block[2] = c, d.block[3] = e;
}

DEVICE u32 draw_bits(Draws& d) {
  if (d.used == 4) {
    philox(d);
    d.counter[0]++;
    d.used = 0;
  }
  return d.block[d.used++];
}

// Uniform in [0, 1): 24 bits.
DEVICE float draw_unit(Draws& d) { return float(draw_bits(d) >> 8) * (1.0f / 16777216.0f); }

// Uniform in [low, high); rounded twice, as on the host, not fused into one rounding.
DEVICE float draw_uniform(Draws& d, float low, float high) {
  return __fadd_rn(low, __fmul_rn(high - low, draw_unit(d)));
}

// Uniform in 0..n, by multiplication (bias below n / 2^32).
DEVICE u32 draw_below(Draws& d, u32 n) { return u32(u64(draw_bits(d)) * n >> 32); }
