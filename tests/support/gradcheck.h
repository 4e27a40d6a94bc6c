#pragma once
// A gradient against central finite differences of four points, in double.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>

#include "tests/support/reference_array.h"

namespace music::test {

inline constexpr double kGradientTolerance = 1e-6;

struct GradientCheck {
  double worst = 0;  // |numeric - analytic| / max(|numeric|, |analytic|, 1)
  std::int64_t checked = 0;
  std::int64_t skipped = 0;  // the stencil crosses a kink
};

// The branches a function took (which units are active, which input won): no
// kink lies between two points where they agree.
using Branches = std::vector<std::int64_t>;

// x is the argument of `loss` and is left as it was. `branches`, for functions
// with kinks, gives the branches at x.
inline GradientCheck check_gradient(
    const std::function<double()>& loss, reference::Array& x,
    const reference::Array& analytic,
    const std::function<Branches()>& branches = nullptr, double step = 1e-3) {
  GradientCheck result;
  const Branches here = branches ? branches() : Branches{};
  if (analytic.shape != x.shape) {
    result.worst = INFINITY;
    return result;
  }
  for (std::int64_t i = 0; i < x.size(); ++i) {
    const double centre = x[i];
    bool kink = false;
    const auto at = [&](double steps) {
      x[i] = centre + steps * step;
      kink = kink || (branches && branches() != here);
      return loss();
    };
    const double numeric =
        (at(-2) - 8 * at(-1) + 8 * at(1) - at(2)) / (12 * step);
    x[i] = centre;
    if (kink) {
      ++result.skipped;
      continue;
    }
    ++result.checked;
    const double scale =
        std::max({std::abs(numeric), std::abs(analytic[i]), 1.0});
    const double error = std::abs(numeric - analytic[i]) / scale;
    if (!(error <= result.worst)) result.worst = error;
    if (std::isnan(error)) break;
  }
  return result;
}

}  // namespace music::test
