#pragma once
// Embeddings and settings on which bodies of VICReg and Barlow Twins are
// compared with reference_views.h.

#include <cmath>
#include <cstdint>
#include <vector>

#include "engine/core/rng.h"
#include "music/loss/barlow_twins_spec.h"
#include "music/loss/vicreg_spec.h"

namespace music::test {

// Embeddings of two views, [2N,D].
struct ViewCase {
  std::int64_t n, units;
  double scale = 1;   // of units, which differ by a factor of 4 among each other
  double mean = 0;    // of all units
  double common = 0;  // share of all units that is one and the same factor

  std::vector<float> z() const {
    Rng rng(4, RngPurpose::kTest);
    std::vector<float> out;
    std::vector<double> factor, first;
    for (std::int64_t i = 0; i < n; ++i) factor.push_back(rng.normal());
    for (int v = 0; v < 2; ++v)
      for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t d = 0; d < units; ++d) {
          const auto at = static_cast<std::size_t>(i * units + d);
          double x = rng.normal();
          if (v == 0) first.push_back(x);
          // Views that agree on much, as a trained network's do.
          if (v == 1) x = 0.9 * first[at] + 0.4 * x;
          x = (1 - common) * x + common * factor[static_cast<std::size_t>(i)];
          const double size = scale * (0.5 + 0.25 * static_cast<double>(d % 7));
          out.push_back(static_cast<float>(mean + size * x));
        }
    return out;
  }
};

// Odd sizes; fewer samples than units and more; several tiles; spread out,
// collapsed, far from 0, and units that say the same.
inline std::vector<ViewCase> view_cases() {
  return {{4, 1},        {2, 3},           {3, 8},
          {7, 5},        {33, 17},         {9, 40},
          {16, 33, 0.1}, {24, 20, 4},      {17, 48, 1, 3},
          {12, 31, 1e-3}, {13, 24, 1, 0, 0.7}};
}

inline std::vector<VicregSpec> vicreg_specs() {
  return {{},
          {.invariance = 1, .variance = 0, .covariance = 0},
          {.invariance = 0, .variance = 1, .covariance = 0},
          {.invariance = 0, .variance = 0, .covariance = 1},
          {.invariance = 2, .variance = 50, .covariance = 4, .epsilon = 1e-2}};
}
inline std::vector<BarlowTwinsSpec> barlow_twins_specs() {
  return {{},
          {.lambda = 0},
          {.lambda = 1, .scale = 0.1},
          {.lambda = 0.0051, .scale = 0.024, .epsilon = 1e-2}};
}

// The inputs of the goldens of both methods: X = sin(i+2j), Y = X + .3
// cos(3i-j); rows i = 0..3, columns j = 0..5.
inline std::vector<double> golden_views() {
  std::vector<double> z;
  for (int v = 0; v < 2; ++v)
    for (int i = 0; i < 4; ++i)
      for (int j = 0; j < 6; ++j)
        z.push_back(std::sin(i + 2 * j) + 0.3 * v * std::cos(3 * i - j));
  return z;
}

}  // namespace music::test
