// swapped_prediction: SwAV's loss. Scores s are of crops (crops, batch, prototypes), codes q of the first two of
// them (2, batch, prototypes): the mean over images, over these two crops a and over crops v other than a of
// - sum over prototypes of q_a log softmax(s_v / temperature).
#include "exponentials.cuh"

constexpr u32 ASSIGNED = 2;  // crops with codes

// What a crop is to predict: the sum of its image's codes from crops other than itself.
struct Codes { const float* codes; u32 batch, prototypes; };

DEVICE Pack<float> target(const Lane& lane, const Codes& p, u32 crop, u32 image) {
  Pack<float> sum = {};
#pragma unroll
  for (u32 a = 0; a < ASSIGNED; ++a) {
    if (a == crop) continue;
    const Pack<float> q = lane.load(p.codes + (u64(a) * p.batch + image) * p.prototypes);
    sum = pack_of([&](u32 i) { return sum.at[i] + q.at[i]; });
  }
  return sum;
}

// scores (crops, batch, prototypes) real; codes (2, batch, prototypes) f32. Of each row (crops, batch):
// lse, the log-sum-exp of s / temperature; weight, the sum of its target; losses, weight lse - <target, s /
// temperature>. One block a row, read once; the crops of an image lie side by side in the grid, so that its codes
// come from cache.
struct SwappedPredictionForward {
  const real* scores; const float* codes; float* lse; float* weight; float* losses;
  u32 crops, batch, prototypes; float inv_temperature;
};

KERNEL(swapped_prediction_forward, SwappedPredictionForward) {
  const u32 crop = blockIdx.x % p.crops, image = blockIdx.x / p.crops;
  const u64 row = u64(crop) * p.batch + image;
  const Codes codes = {p.codes, p.batch, p.prototypes};
  Exponentials own;
  float weight = 0.0f, along = 0.0f;
  for (u32 pack = threadIdx.x; pack * PACK < p.prototypes; pack += blockDim.x)
    with_lane(pack, p.prototypes, [&](const Lane& lane) {
      const Pack<real> scores = lane.load(p.scores + row * p.prototypes);
      const Pack<float> t = target(lane, codes, crop, image);
      const Pack<float> s = pack_of([&](u32 i) { return to_float(scores.at[i]) * p.inv_temperature; });
      own.add(s, lane.count);
#pragma unroll
      for (u32 i = 0; i < PACK; ++i) weight += t.at[i], along += t.at[i] * s.at[i];  // t is 0 past the end
    });
  const float lse = block_sum(own).log();
  weight = block_sum(weight);
  along = block_sum(along);
  if (threadIdx.x > 0) return;
  p.lse[row] = lse;
  p.weight[row] = weight;
  p.losses[row] = weight * lse - along;
}

// loss (1) = scale times the sum of losses (rows). One block: the order of the sum is a matter of rows.
struct SwappedPredictionLoss { const float* losses; float* loss; u32 rows; float scale; };

KERNEL(swapped_prediction_loss, SwappedPredictionLoss) {
  float sum = 0.0f;
  for (u32 i = threadIdx.x; i < p.rows; i += blockDim.x) sum += p.losses[i];
  sum = block_sum(sum);
  if (threadIdx.x == 0) p.loss[0] = p.scale * sum;
}

// dscores = (weight softmax(s / temperature) - target) dy scale / temperature, as d lse / ds is the softmax.
// scores, dscores (crops, batch, prototypes) real; codes (2, batch, prototypes) f32; lse, weight (crops,
// batch); dy (1). One block a row, in the order of forward.
struct SwappedPredictionBackward {
  const real* scores; const float* codes; const float* lse; const float* weight; const float* dy; real* dscores;
  u32 crops, batch, prototypes; float inv_temperature, scale;
};

KERNEL(swapped_prediction_backward, SwappedPredictionBackward) {
  const u32 crop = blockIdx.x % p.crops, image = blockIdx.x / p.crops;
  const u64 row = u64(crop) * p.batch + image;
  const Codes codes = {p.codes, p.batch, p.prototypes};
  const float lse = p.lse[row], weight = p.weight[row], scale = p.dy[0] * p.scale * p.inv_temperature;
  for (u32 pack = threadIdx.x; pack * PACK < p.prototypes; pack += blockDim.x)
    with_lane(pack, p.prototypes, [&](const Lane& lane) {
      const Pack<real> scores = lane.load(p.scores + row * p.prototypes);
      const Pack<float> t = target(lane, codes, crop, image);
      lane.store(p.dscores + row * p.prototypes, to_reals(pack_of([&](u32 i) {
        const float softmax = expf(to_float(scores.at[i]) * p.inv_temperature - lse);
        return scale * (weight * softmax - t.at[i]);
      })));
    });
}
