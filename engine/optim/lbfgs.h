#pragma once
// L-BFGS: the minimum of a smooth function of many variables from its values
// and gradients (Nocedal & Wright, Numerical Optimization, 2nd edition: two-loop
// recursion 7.4; line search for the strong Wolfe conditions after 3.5 and 3.6,
// with cubic interpolation). For problems solved whole, not for training steps.

#include <functional>
#include <span>

namespace music {

// The value at x; writes the gradient there.
using SmoothFunction = std::function<double(std::span<const double> x,
                                            std::span<double> gradient)>;

struct LbfgsSpec {
  int history = 10;        // pairs of steps and changes of the gradient kept
  double tolerance = 1e-5;  // of the gradient's largest element
  int most_steps = 1000;
  // What the value can be off by rounding, relative: near the minimum a step is
  // then judged by slopes (Hager & Zhang's approximate Wolfe conditions).
  double noise = 1e-12;
};

struct LbfgsResult {
  double value = 0;
  double gradient = 0;  // largest element
  int steps = 0, evaluations = 0;
  // False after most_steps, or where rounding leaves no step that descends.
  bool converged = false;
};

// From x on; leaves the minimum there. The same bits for any number of threads
// as long as f has them. Throws kNumerical when f is not finite at x.
LbfgsResult minimise(const SmoothFunction& f, std::span<double> x,
                     const LbfgsSpec& spec = {});

}  // namespace music
