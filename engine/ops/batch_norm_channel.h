#pragma once
// What batch normalisation does once a channel; the bodies of both backends
// share it. Sums, counts and spec are those of batch_norm.h.

#include <math.h>  // sqrt: the name that is on both sides

#include "engine/core/host_device.h"

namespace music {

struct BatchMoments {
  double mean, variance, invstd;  // variance: the biased one
};

MUSIC_HOST_DEVICE inline BatchMoments batch_moments(double sum, double square,
                                                    double count,
                                                    double epsilon) {
  if (count == 0) return {0, 0, 0};  // of no rows
  const double mean = sum / count;
  const double v = square / count - mean * mean;
  const double variance = v > 0 ? v : 0;
  return {mean, variance, 1 / sqrt(variance + epsilon)};
}

// The running statistics of a channel after one more batch.
MUSIC_HOST_DEVICE inline void update_running(const BatchMoments& batch,
                                             double count, double momentum,
                                             float& mean, float& variance) {
  // One value a channel has no unbiased variance; keep the biased.
  const double unbiased =
      count > 1 ? batch.variance * count / (count - 1) : batch.variance;
  mean = static_cast<float>((1 - momentum) * mean + momentum * batch.mean);
  variance =
      static_cast<float>((1 - momentum) * variance + momentum * unbiased);
}

// Channel c of running_statistics.h; returns the number of its values.
MUSIC_HOST_DEVICE inline float move_running(const double* stats,
                                            std::int64_t groups,
                                            std::int64_t channels,
                                            std::int64_t c, double momentum,
                                            float& mean, float& variance) {
  double sum = 0, square = 0, count = 0;
  for (std::int64_t g = 0; g < groups; ++g) {
    const double* s = stats + g * (2 * channels + 1);
    sum += s[c], square += s[channels + c], count += s[2 * channels];
  }
  update_running(batch_moments(sum, square, count, 0), count, momentum, mean,
                 variance);
  return static_cast<float>(count);
}

// dx = scale (dy' - mean_dy) - (x - mean) slope.
struct BatchNormGradient {
  float scale, mean_dy, slope;
};

// sum, product: of dy' and of dy' xhat.
MUSIC_HOST_DEVICE inline BatchNormGradient batch_norm_gradient(
    float gamma, float invstd, double sum, double product, double count) {
  const double i = invstd, scale = gamma * i;
  return {static_cast<float>(scale), static_cast<float>(sum / count),
          static_cast<float>(scale * i * product / count)};
}

}  // namespace music
