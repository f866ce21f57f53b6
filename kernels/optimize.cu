// optimize: one step of momentum SGD, LARS or LARC over flat memory, all tensors at once.
//
// Memory is described by two tables. segments (count, 4): a tensor's first chunk, its number of chunks,
// whether it is adapted, how many times the weight decay it has (the bits of an f32). chunks (n, 3): offset,
// length, segment: a tensor cut into pieces a block can handle.
#include "pack.cuh"

constexpr u32 SGD = 0, LARS = 1, LARC = 2;  // rules

// values, gradients flat f32; partial (chunks, 4): sums of value^2, of gradient^2, of (gradient +
// weight_decay value)^2, and how many gradients are not finite. One block a chunk.
struct OptimizeNorms {
  const float* values; const float* gradients; const u32* chunks; const u32* segments; float* partial;
  u64 n; u32 chunk_count, segment_count; float weight_decay;
};

KERNEL(optimize_norms, OptimizeNorms) {
  const u32* chunk = p.chunks + 3 * u64(blockIdx.x);
  const u32 offset = chunk[0], length = chunk[1];
  const float decay = __uint_as_float(p.segments[4 * u64(chunk[2]) + 3]) * p.weight_decay;
  float values = 0.0f, gradients = 0.0f, decayed = 0.0f, wrong = 0.0f;
  struct Input { Pack<float, 4> value, gradient; };
  auto add = [&](float value, float gradient) {
    const float sum = gradient + decay * value;
    values += value * value;
    gradients += gradient * gradient;
    decayed += sum * sum;
    wrong += gradient - gradient == 0.0f ? 0.0f : 1.0f;  // infinity - infinity is NaN
  };
  const float* value = p.values + offset;
  const float* gradient = p.gradients + offset;
  const u32 packs = is_aligned(value, gradient) ? length / 4 : 0;
  walk<2>(true, threadIdx.x, blockDim.x, packs, 2 * blockDim.x,
      [&](u64 i) { return Input{load_pack<4>(value + 4 * i), load_pack<4>(gradient + 4 * i)}; },
      [&](u64, const Input& in) {
#pragma unroll
        for (u32 k = 0; k < 4; ++k) add(in.value.at[k], in.gradient.at[k]);
      });
  for (u32 i = 4 * packs + threadIdx.x; i < length; i += blockDim.x) add(value[i], gradient[i]);
  values = block_sum(values);
  gradients = block_sum(gradients);
  decayed = block_sum(decayed);
  wrong = block_sum(wrong);
  if (threadIdx.x > 0) return;
  float* partial = p.partial + 4 * u64(blockIdx.x);
  partial[0] = values;
  partial[1] = gradients;
  partial[2] = decayed;
  partial[3] = wrong;
}

// partial (chunks, 4); lr (2): of the tensors adapted and of the others, in memory since they change while
// the launch does not; rates (segments, 3): of each tensor, the scale of its gradient, its weight decay,
// its learning rate; summary (2): the sum of all gradients squared, how many are not finite. A block a
// segment, and one for the summary.
struct OptimizeRates {
  const float* partial; const u32* segments; const float* lr; float* rates; float* summary;
  u32 chunk_count, segment_count, rule; float trust, weight_decay;
};

KERNEL(optimize_rates, OptimizeRates) {
  if (blockIdx.x == p.segment_count) {
    float gradients = 0.0f, wrong = 0.0f;
    for (u32 chunk = threadIdx.x; chunk < p.chunk_count; chunk += blockDim.x) {
      gradients += p.partial[4 * u64(chunk) + 1];
      wrong += p.partial[4 * u64(chunk) + 3];
    }
    gradients = block_sum(gradients);
    wrong = block_sum(wrong);
    if (threadIdx.x > 0) return;
    p.summary[0] = gradients;
    p.summary[1] = wrong;
    return;
  }
  const u32* segment = p.segments + 4 * u64(blockIdx.x);
  float values = 0.0f, gradients = 0.0f, decayed = 0.0f;
  for (u32 chunk = threadIdx.x; chunk < segment[1]; chunk += blockDim.x) {
    const float* partial = p.partial + 4 * u64(segment[0] + chunk);
    values += partial[0];
    gradients += partial[1];
    decayed += partial[2];
  }
  values = sqrtf(block_sum(values));
  gradients = sqrtf(block_sum(gradients));
  decayed = sqrtf(block_sum(decayed));
  if (threadIdx.x > 0) return;
  const bool adapt = p.rule != SGD && segment[2];
  float decay = __uint_as_float(segment[3]) * p.weight_decay;
  float scale = 1.0f;
  if (adapt && p.rule == LARS && values > 0.0f && decayed > 0.0f) scale = p.trust * values / decayed;
  if (adapt && p.rule == LARC) {
    if (values > 0.0f && gradients > 0.0f)
      scale = p.trust * values / (gradients + decay * values + 1e-8f);
    else
      decay = 0.0f;  // as apex has it: a tensor without gradient is left alone
  }
  float* rates = p.rates + 3 * u64(blockIdx.x);
  rates[0] = scale;
  rates[1] = decay;
  rates[2] = p.lr[p.rule == SGD || adapt ? 0 : 1];
}

// step = scale (gradient + decay value); velocity = momentum velocity + step; value -= lr velocity, or
// lr (step + momentum velocity) with nesterov. Nothing moves where any gradient is not finite. values,
// gradients, velocities flat f32; reals flat real, null where there is no such copy of the values. One block
// a chunk.
struct OptimizeStep {
  float* values; real* reals; const float* gradients; float* velocities; const u32* chunks;
  const float* rates; const float* summary; u64 n; u32 chunk_count, segment_count, nesterov; float momentum;
};

KERNEL(optimize_step, OptimizeStep) {
  if (p.summary[1] > 0.0f) return;
  const u32* chunk = p.chunks + 3 * u64(blockIdx.x);
  const u32 offset = chunk[0], length = chunk[1];
  const float* rates = p.rates + 3 * u64(chunk[2]);
  const float scale = rates[0], decay = rates[1], lr = rates[2];
  struct Input { Pack<float, 4> value, gradient, velocity; };
  auto move = [&](float& value, float gradient, float& velocity) {
    const float step = scale * (gradient + decay * value);
    velocity = p.momentum * velocity + step;
    value -= lr * (p.nesterov ? step + p.momentum * velocity : velocity);
  };
  float* value = p.values + offset;
  const float* gradient = p.gradients + offset;
  float* velocity = p.velocities + offset;
  real* rounded = p.reals == nullptr ? nullptr : p.reals + offset;
  const u32 packs = is_aligned(value, gradient, velocity, rounded) ? length / 4 : 0;
  walk<2>(true, threadIdx.x, blockDim.x, packs, 2 * blockDim.x,
      [&](u64 i) {
        return Input{load_pack<4>(value + 4 * i), load_pack<4>(gradient + 4 * i),
                     load_pack<4>(velocity + 4 * i)};
      },
      [&](u64 i, Input in) {
#pragma unroll
        for (u32 k = 0; k < 4; ++k) move(in.value.at[k], in.gradient.at[k], in.velocity.at[k]);
        store_pack(velocity + 4 * i, in.velocity);
        store_pack(value + 4 * i, in.value);
        if (rounded != nullptr) store_pack(rounded + 4 * i, in.value);
      });
  for (u32 i = 4 * packs + threadIdx.x; i < length; i += blockDim.x) {
    move(value[i], gradient[i], velocity[i]);
    if (rounded != nullptr) rounded[i] = to_real(value[i]);
  }
}
