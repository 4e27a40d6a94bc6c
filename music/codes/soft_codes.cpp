#include "music/codes/soft_codes.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/core/error.h"
#include "music/loss/joint_entropy_math.h"

namespace music {
namespace {

void softmax(const float* z, std::int64_t n, float inverse_temperature,
             float* q) {
  const float most = *std::max_element(z, z + n);
  float sum = 0;
  for (std::int64_t d = 0; d < n; ++d)
    q[d] = loss_exp((z[d] - most) * inverse_temperature);
  for (std::int64_t d = 0; d < n; ++d) sum += q[d];
  for (std::int64_t d = 0; d < n; ++d) q[d] /= sum;
}

}  // namespace

void soft_codes(const float* z, std::int64_t n, const Segments& segments,
                double temperature, float* q) {
  const std::int64_t units = segments.units();
  std::int64_t wrong = 0;
  for (std::int64_t i = 0; i < n * units; ++i)
    wrong += !(std::abs(z[i]) <= std::numeric_limits<float>::max());
  if (wrong > 0)
    throw error(ExitCode::kData,
                "[codes] {} of {} numbers of embeddings are not finite", wrong,
                n * units);
  const auto inverse = static_cast<float>(1 / temperature);
#pragma omp parallel for schedule(static)
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t s = 0; s < segments.count(); ++s) {
      const std::int64_t at = i * units + segments.begin(s);
      softmax(z + at, segments.size(s), inverse, q + at);
    }
}

}  // namespace music
