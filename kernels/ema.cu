// ema: target = momentum target + (1 - momentum) source: a slow copy of what is trained.
#include "pack.cuh"

// target, source (n) f32; reals (n) real, the target once more, null where there is no such copy. A thread:
// packs of 4, grid-stride.
struct Ema { float* target; real* reals; const float* source; u64 n; float momentum; };

KERNEL(ema, Ema) {
  struct Input { Pack<float, 4> target, source; };
  auto move = [&](float target, float source) { return p.momentum * target + (1.0f - p.momentum) * source; };
  const u64 packs = is_aligned(p.target, p.reals, p.source) ? p.n / 4 : 0, round = 2 * blockDim.x;
  walk<2>(true, blockIdx.x * round + threadIdx.x, blockDim.x, packs, gridDim.x * round,
      [&](u64 i) { return Input{load_pack<4>(p.target + 4 * i), load_pack<4>(p.source + 4 * i)}; },
      [&](u64 i, const Input& in) {
        const auto moved = pack_of<4>([&](u32 k) { return move(in.target.at[k], in.source.at[k]); });
        store_pack(p.target + 4 * i, moved);
        if (p.reals != nullptr) store_pack(p.reals + 4 * i, moved);
      });
  for (u64 i = 4 * packs + thread_index(); i < p.n; i += thread_count()) {
    p.target[i] = move(p.target[i], p.source[i]);
    if (p.reals != nullptr) p.reals[i] = to_real(p.target[i]);
  }
}
