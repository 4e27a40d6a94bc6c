#include "data/fast/blur.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "data/blur.h"

namespace music::data::fast {

// The box with itself, three times.
void Blur::plan(double sigma) {
  const ExtendedBox box = extended_box(sigma);
  const std::size_t taps = static_cast<std::size_t>(box.radius) * 2 + 3;
  kernel_.assign(1, 1.0);
  for (int pass = 0; pass < 3; ++pass) {
    wider_.assign(kernel_.size() + taps - 1, 0.0);
    for (std::size_t i = 0; i < kernel_.size(); ++i)
      for (std::size_t k = 0; k < taps; ++k)
        wider_[i + k] += kernel_[i] * 0x1p-24 *
                         (k == 0 || k == taps - 1 ? box.edge : box.full);
    std::swap(kernel_, wider_);
  }
  const std::size_t reach = kernel_.size() / 2;
  weights_.resize(reach + 1);
  // Rounded sums rather than weights, from the far end: the rounded weights
  // then add up.
  double sum = 0;
  long before = 0;
  for (std::size_t k = reach; k > 0; --k) {
    sum += kernel_[reach + k];
    const long now = std::lround(sum * 0x1p15);
    weights_[k] = static_cast<std::int16_t>(now - before);
    before = now;
  }
  weights_[0] =
      static_cast<std::int16_t>(std::min((1l << 15) - 2 * before, 32767l));
}

void Blur::run(double sigma, Planes& planes) {
  plan(sigma);
  const int reach = static_cast<int>(weights_.size()) - 1;
  blurred_.reset(planes.size());
  const std::size_t values =
      blur_values(planes.stride(), planes.size(), reach);
  if (rows_.bytes() < 2 * values) rows_ = Buffer(2 * values);
  for (int c = 0; c < Planes::kChannels; ++c)
    blur_plane(planes.plane(c), planes.stride(), planes.size(),
               weights_.data(), reach, rows_.as<std::int16_t>(),
               blurred_.plane(c));
  std::swap(planes, blurred_);
}

}  // namespace music::data::fast
