// batch_norm: y = (x - mean) / sqrt(variance + epsilon) * gamma + beta, channel by channel.
#include "batch_norm.cuh"

// x (rows, channels) real; partial (chunks, 2, channels): of each chunk of chunk_rows rows, its mean and
// the sum of squared differences from it. Block (32, 8): 32 channels of one chunk; x is read once.
struct BatchNormStatistics { const real* x; float* partial; u32 rows, channels, chunk_rows; };

KERNEL(batch_norm_statistics, BatchNormStatistics) {
  const u32 channel = blockIdx.x * WARP + threadIdx.x;
  const u64 start = u64(blockIdx.y) * p.chunk_rows;
  // Differences from the chunk's first row: squares of the values themselves would cancel.
  const float origin = channel < p.channels ? to_float(p.x[start * p.channels + channel]) : 0.0f;
  const Pair sum = sum_chunk(p.rows, p.channels, p.chunk_rows, [&](u64 i) {
    const float difference = to_float(p.x[i]) - origin;
    return Pair{difference, difference * difference};
  });
  const u64 left = p.rows - start;
  const float n = float(left < p.chunk_rows ? left : p.chunk_rows);
  const float squares = fmaxf(sum.second - sum.first * sum.first / n, 0.0f);
  store_chunk(p.partial, p.channels, {origin + sum.first / n, squares});
}

// partial (chunks, 2, channels); statistics (2, channels): mean, 1 / standard deviation (biased);
// running_mean, running_variance (channels), moved by momentum towards the mean and the unbiased
// variance. Block (32, 16): 32 channels.
struct BatchNormCombine {
  const float* partial; float* statistics; float* running_mean; float* running_variance;
  u32 rows, channels, chunk_rows; float momentum, epsilon;
};

KERNEL(batch_norm_combine, BatchNormCombine) {
  const u32 channel = blockIdx.x * WARP + threadIdx.x;
  const u32 chunks = (p.rows + p.chunk_rows - 1) / p.chunk_rows;
  const float* partial = p.partial + (channel < p.channels ? channel : 0);
  const float origin = partial[0];
  auto rows_of = [&](u32 chunk) {
    return float(chunk + 1 < chunks ? p.chunk_rows : p.rows - chunk * p.chunk_rows);
  };
  const Pair moved = sum_over_chunks(chunks, [&](u32 chunk) {
    return Pair{rows_of(chunk) * (partial[u64(chunk) * 2 * p.channels] - origin), 0.0f};
  });
  const float mean = origin + moved.first / float(p.rows);
  const Pair squares = sum_over_chunks(chunks, [&](u32 chunk) {
    const float* row = partial + u64(chunk) * 2 * p.channels;
    const float difference = row[0] - mean;
    return Pair{row[p.channels], rows_of(chunk) * difference * difference};
  });
  if (threadIdx.y > 0 || channel >= p.channels) return;
  const float sum = squares.first + squares.second;
  p.statistics[channel] = mean;
  p.statistics[p.channels + channel] = 1.0f / sqrtf(sum / float(p.rows) + p.epsilon);
  const float unbiased = sum / float(p.rows > 1 ? p.rows - 1 : 1);
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

// x, y (rows, channels) real; statistics (2, channels); gamma, beta (channels). Block (32, 8).
struct BatchNormForward {
  const real* x; const float* statistics; const float* gamma; const float* beta; real* y;
  u32 rows, channels;
};

KERNEL(batch_norm_forward, BatchNormForward) {
  const u32 channel = blockIdx.x * WARP + threadIdx.x;
  if (channel >= p.channels) return;
  const Affine a = affine(p.statistics, p.gamma, p.beta, channel, p.channels);
  for_each_row(p.rows, p.channels, channel,
               [&](u64 i) { p.y[i] = to_real(apply(a, to_float(p.x[i]))); });
}

// x, dy (rows, channels) real; partial (chunks, 2, channels): of each chunk, the sums of dy and of
// dy (x - mean). Block (32, 8): 32 channels of one chunk.
struct BatchNormSums {
  const real* x; const real* dy; const float* statistics; float* partial;
  u32 rows, channels, chunk_rows;
};

KERNEL(batch_norm_sums, BatchNormSums) {
  const u32 channel = blockIdx.x * WARP + threadIdx.x;
  const float mean = channel < p.channels ? p.statistics[channel] : 0.0f;
  store_chunk(p.partial, p.channels, sum_chunk(p.rows, p.channels, p.chunk_rows, [&](u64 i) {
    const float dy = to_float(p.dy[i]);
    return Pair{dy, dy * (to_float(p.x[i]) - mean)};
  }));
}

// partial (chunks, 2, channels) added up: dbeta (channels) = sum of dy, dgamma (channels) = sum of
// dy (x - mean) / std. Block (32, 16): 32 channels.
struct BatchNormCombineSums {
  const float* partial; const float* statistics; float* dgamma; float* dbeta; u32 chunks, channels;
};

KERNEL(batch_norm_combine_sums, BatchNormCombineSums) {
  const u32 channel = blockIdx.x * WARP + threadIdx.x;
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
// inverse_rows is 1 / rows, or 0 where the statistics did not come from x. Block (32, 8).
struct BatchNormBackward {
  const real* x; const real* dy; const float* statistics; const float* gamma; const float* dgamma;
  const float* dbeta; real* dx; u32 rows, channels; float inverse_rows;
};

KERNEL(batch_norm_backward, BatchNormBackward) {
  const u32 channel = blockIdx.x * WARP + threadIdx.x;
  if (channel >= p.channels) return;
  const Affine a = affine(p.statistics, p.gamma, nullptr, channel, p.channels);
  const float along_x = a.inv_std * p.dgamma[channel] * p.inverse_rows;
  const float along_one = p.dbeta[channel] * p.inverse_rows;
  for_each_row(p.rows, p.channels, channel, [&](u64 i) {
    const float rest = to_float(p.dy[i]) - along_one - (to_float(p.x[i]) - a.mean) * along_x;
    p.dx[i] = to_real(a.scale * rest);
  });
}
