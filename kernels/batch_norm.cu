// batch_norm: y = (x - mean) / sqrt(variance + epsilon) * gamma + beta, channel by channel.
#include "batch_norm.cuh"

// x (rows, channels) real; partial (chunks, 2, channels): of each chunk of chunk_rows rows, its mean and
// the sum of squared differences from it. A block: up to 32 packs of channels of one chunk; x is read once.
struct BatchNormStatistics { const real* x; float* partial; u32 rows, channels, chunk_rows; };

KERNEL_BOUNDS(batch_norm_statistics, BatchNormStatistics, RESIDENT(BLOCK, 4)) {
  const u32 chunk = chunk_of_block<FORTH>();
  // Differences from the chunk's first row: squares of the values themselves would cancel.
  const real* first_row = p.x + u64(chunk) * p.chunk_rows * p.channels;
  Pairs sums = {};
  with_channels(p.channels, [&](Lane lane) {
    const Pack<real> first = lane.load(first_row);
    const Pack<float> origin = pack_of([&](u32 i) { return to_float(first.at[i]); });
    walk_chunk<ROWS_OF_ONE>(lane, chunk, p.rows, p.chunk_rows,
        [&](u64 row) { return lane.load(p.x + row * p.channels); },
        [&](u64, const Pack<real>& x) {
#pragma unroll
          for (u32 i = 0; i < PACK; ++i) {
            const float difference = to_float(x.at[i]) - origin.at[i];
            sums.first.at[i] += difference;
            sums.second.at[i] = fmaf(difference, difference, sums.second.at[i]);
          }
        });
  });
  const u64 left = p.rows - u64(chunk) * p.chunk_rows;
  const float n = float(left < p.chunk_rows ? left : p.chunk_rows);
  store_chunk(p.partial, chunk, p.channels, sums, [&](u32 channel, Pair sum) {
    const float mean = sum.first / n;
    return Pair{to_float(first_row[channel]) + mean, fmaxf(sum.second - sum.first * mean, 0.0f)};
  });
}

// partial (chunks, 2, channels), as batch_norm_statistics has it; statistics (2, channels): mean, 1 /
// standard deviation (biased); running_mean, running_variance (channels), moved by momentum towards the
// mean and the unbiased variance. Block (8, 128): 8 channels.
struct BatchNormCombine {
  const float* partial; float* statistics; float* running_mean; float* running_variance;
  u32 rows, channels, chunk_rows; float momentum, epsilon;
};

KERNEL_BOUNDS(batch_norm_combine, BatchNormCombine, COMBINE_CHANNELS * COMBINE_LANES) {
  const u32 channel = blockIdx.x * COMBINE_CHANNELS + threadIdx.x;
  const u32 chunks = (p.rows + p.chunk_rows - 1) / p.chunk_rows;
  const float* partial = p.partial + (channel < p.channels ? channel : 0);
  // Differences from the first chunk's mean: about it squares add up as well as about the mean itself,
  // and one pass does for both.
  const float origin = partial[0];
  const Pair sum = sum_over_chunks(chunks, [&](u32 chunk) {
    const float* row = partial + u64(chunk) * 2 * p.channels;
    const float n = float(chunk + 1 < chunks ? p.chunk_rows : p.rows - chunk * p.chunk_rows);
    const float difference = row[0] - origin, moved = n * difference;
    return Pair{moved, fmaf(moved, difference, row[p.channels])};
  });
  if (threadIdx.y > 0 || channel >= p.channels) return;
  const float rows = float(p.rows), mean = origin + sum.first / rows;
  const float squares = fmaxf(sum.second - sum.first * (sum.first / rows), 0.0f);
  p.statistics[channel] = mean;
  p.statistics[p.channels + channel] = 1.0f / sqrtf(squares / rows + p.epsilon);
  const float unbiased = squares / float(p.rows > 1 ? p.rows - 1 : 1);
  p.running_mean[channel] += p.momentum * (mean - p.running_mean[channel]);
  p.running_variance[channel] += p.momentum * (unbiased - p.running_variance[channel]);
}

// statistics (2, channels) from running_mean, running_variance (channels). One thread a channel.
struct BatchNormRunning {
  const float* running_mean; const float* running_variance; float* statistics;
  u32 channels; float epsilon;
};

KERNEL(batch_norm_running, BatchNormRunning) {
  for (u64 i = thread_index(); i < p.channels; i += thread_count()) {
    p.statistics[i] = p.running_mean[i];
    p.statistics[p.channels + i] = 1.0f / sqrtf(p.running_variance[i] + p.epsilon);
  }
}

// x, y (rows, channels) real; statistics (2, channels); gamma, beta (channels). A thread: a pack of
// channels of some rows.
struct BatchNormForward {
  const real* x; const float* statistics; const float* gamma; const float* beta; real* y;
  u32 rows, channels;
};

KERNEL_BOUNDS(batch_norm_forward, BatchNormForward, RESIDENT(BLOCK, 4)) {
  with_channels(p.channels, [&](Lane lane) {
    const Affine a = affine(lane, p.statistics, p.gamma, p.beta, p.channels);
    walk_rows<BACK, ROWS_OF_ONE>(lane, p.rows,
        [&](u64 row) { return lane.load(p.x + row * p.channels); },
        [&](u64 row, const Pack<real>& x) {
          const auto y = pack_of([&](u32 i) { return apply(a, i, to_float(x.at[i])); });
          lane.store(p.y + row * p.channels, to_reals(y));
        });
  });
}

// x, dy (rows, channels) real; partial (chunks, 2, channels): of each chunk, the sums of dy and of
// dy (x - mean). A block: up to 32 packs of channels of one chunk.
struct BatchNormSums {
  const real* x; const real* dy; const float* statistics; float* partial;
  u32 rows, channels, chunk_rows;
};

KERNEL_BOUNDS(batch_norm_sums, BatchNormSums, RESIDENT(BLOCK, 4)) {
  const u32 chunk = chunk_of_block<BACK>();
  Pairs sums = {};
  with_channels(p.channels, [&](Lane lane) {
    const Pack<float> mean = lane.load(p.statistics);
    walk_chunk<ROWS_OF_MORE>(lane, chunk, p.rows, p.chunk_rows, LoadRow{lane, p.x, p.dy, p.channels},
        [&](u64, const Row& in) {
#pragma unroll
          for (u32 i = 0; i < PACK; ++i) {
            const float dy = to_float(in.dy.at[i]);
            add(sums, i, dy, dy * (to_float(in.x.at[i]) - mean.at[i]));
          }
        });
  });
  store_chunk(p.partial, chunk, p.channels, sums, [](u32, Pair sum) { return sum; });
}

// partial (chunks, 2, channels) added up: dbeta (channels) = sum of dy, dgamma (channels) = sum of
// dy (x - mean) / std. Block (8, 128): 8 channels.
struct BatchNormCombineSums {
  const float* partial; const float* statistics; float* dgamma; float* dbeta; u32 chunks, channels;
};

KERNEL_BOUNDS(batch_norm_combine_sums, BatchNormCombineSums, COMBINE_CHANNELS * COMBINE_LANES) {
  const u32 channel = blockIdx.x * COMBINE_CHANNELS + threadIdx.x;
  const float* partial = p.partial + (channel < p.channels ? channel : 0);
  const Pair sum = sum_over_chunks(p.chunks, [&](u32 chunk) {
    const float* row = partial + u64(chunk) * 2 * p.channels;
    return Pair{row[0], row[p.channels]};
  });
  if (threadIdx.y > 0 || channel >= p.channels) return;
  p.dbeta[channel] = sum.first;
  p.dgamma[channel] = sum.second * p.statistics[p.channels + channel];
}

// dx = gamma / std (dy - dbeta / rows - (x - mean) / std dgamma / rows): the parts of dy along 1 and
// along x cannot change y. x, dy, dx (rows, channels) real; gamma, dgamma, dbeta (channels).
// inverse_rows is 1 / rows, or 0 where the statistics did not come from x. A thread: a pack of channels
// of some rows.
struct BatchNormBackward {
  const real* x; const real* dy; const float* statistics; const float* gamma; const float* dgamma;
  const float* dbeta; real* dx; u32 rows, channels; float inverse_rows;
};

KERNEL_BOUNDS(batch_norm_backward, BatchNormBackward, RESIDENT(BLOCK, 3)) {
  with_channels(p.channels, [&](Lane lane) {
    const Affine a = affine(lane, p.statistics, p.gamma, nullptr, p.channels);
    const Along parts = along(lane, p.statistics, p.dgamma, p.dbeta, p.channels, p.inverse_rows);
    walk_rows<FORTH, ROWS_OF_MORE>(lane, p.rows, LoadRow{lane, p.x, p.dy, p.channels},
        [&](u64 row, const Row& in) {
          const auto dx = pack_of([&](u32 i) {
            return backward(a, parts, i, to_float(in.x.at[i]), to_float(in.dy.at[i]));
          });
          lane.store(p.dx + row * p.channels, to_reals(dx));
        });
  });
}
