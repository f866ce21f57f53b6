// bank_update: rows of a memory bank move towards what their images look like now.
#include "common.cuh"

// bank[ids[i]] = norm(momentum bank[ids[i]] + (1 - momentum) norm(v[i])), norm(x) = x / max(|x|, 1e-12); of
// rows with one id the last is taken.
// v (rows, d) real; ids (rows) u32; bank (images, d) f32. One block a row, read twice, the second time from
// L2: once for each norm.
struct BankUpdate { const real* v; const u32* ids; float* bank; u32 rows, images, d; float momentum; };

KERNEL(bank_update, BankUpdate) {
  const u32 row = blockIdx.x, id = p.ids[row];
  float later = 0.0f;
  for (u32 i = row + 1 + threadIdx.x; i < p.rows; i += blockDim.x)
    if (p.ids[i] == id) later = 1.0f;
  if (block_max(later) > 0.0f) return;
  const real* v = p.v + u64(row) * p.d;
  float* m = p.bank + u64(id) * p.d;
  float sum = 0.0f;
  for (u32 c = threadIdx.x; c < p.d; c += blockDim.x) {
    const float part = to_float(v[c]);
    sum += part * part;
  }
  const float share = (1.0f - p.momentum) / fmaxf(sqrtf(block_sum(sum)), 1e-12f);
  auto moved = [&](u32 c) { return p.momentum * m[c] + share * to_float(v[c]); };
  sum = 0.0f;
  for (u32 c = threadIdx.x; c < p.d; c += blockDim.x) {
    const float part = moved(c);
    sum += part * part;
  }
  const float inv_norm = 1.0f / fmaxf(sqrtf(block_sum(sum)), 1e-12f);
  for (u32 c = threadIdx.x; c < p.d; c += blockDim.x) m[c] = moved(c) * inv_norm;
}
