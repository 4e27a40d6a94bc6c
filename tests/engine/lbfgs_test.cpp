#include "engine/optim/lbfgs.h"

#include <doctest/doctest.h>
#include <omp.h>

#include <cmath>
#include <limits>
#include <vector>

#include "engine/core/error.h"
#include "tests/support/margin.h"

namespace {

using namespace music;
using namespace music::test;

using Span = std::span<double>;
using ConstSpan = std::span<const double>;

// Its minimum, 0 at (1, ..., 1), lies at the end of a curved valley.
double rosenbrock(ConstSpan x, Span g) {
  std::fill(g.begin(), g.end(), 0.0);
  double f = 0;
  for (std::size_t i = 0; i + 1 < x.size(); ++i) {
    const double a = x[i + 1] - x[i] * x[i], b = 1 - x[i];
    f += 100 * a * a + b * b;
    g[i] += -400 * x[i] * a - 2 * b;
    g[i + 1] += 200 * a;
  }
  return f;
}

// sum of c_i (x_i - sin i)^2 / 2 with curvatures from 1 to 1e3.
double bowl(ConstSpan x, Span g) {
  double f = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double c = std::pow(10.0, 3.0 * static_cast<double>(i) /
                                        static_cast<double>(x.size()));
    const double d = x[i] - std::sin(static_cast<double>(i));
    g[i] = c * d;
    f += 0.5 * c * d * d;
  }
  return f;
}

TEST_SUITE_BEGIN("lbfgs");

TEST_CASE("it finds the end of Rosenbrock's valley") {
  std::vector<double> x{-1.2, 1, -1.2, 1};
  const LbfgsResult r = minimise(rosenbrock, x, {.tolerance = 1e-8});
  CHECK(r.converged);
  CHECK(r.steps < 100);
  for (const double v : x) CHECK(near(v, 1, 1e-6));
}

TEST_CASE("a badly scaled bowl, more variables than a piece of the sums") {
  std::vector<double> x(10000, 0.0);
  const LbfgsResult r = minimise(bowl, x, {.tolerance = 1e-6});
  CHECK(r.converged);
  CHECK(within(r.gradient, 1e-6));
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i)
    worst = std::max(worst, std::abs(x[i] - std::sin(static_cast<double>(i))));
  CHECK(within(worst, 1e-5));
}

TEST_CASE("any number of threads gives the same bits") {
  const int before = omp_get_max_threads();
  std::vector<std::vector<double>> ends;
  for (const int threads : {1, 2, 3}) {
    omp_set_num_threads(threads);
    ends.emplace_back(10000, 0.0);
    minimise(bowl, ends.back(), {.most_steps = 20});
  }
  omp_set_num_threads(before);
  CHECK(ends[0] == ends[1]);
  CHECK(ends[0] == ends[2]);
}

TEST_CASE("a region where the function is not finite is stepped back from") {
  // -log x + x: its minimum is at 1, and it ends at 0.
  std::vector<double> x{30};
  const LbfgsResult r = minimise(
      [](ConstSpan at, Span g) {
        g[0] = 1 - 1 / at[0];
        return at[0] > 0 ? at[0] - std::log(at[0])
                         : std::numeric_limits<double>::quiet_NaN();
      },
      x, {.tolerance = 1e-9});
  CHECK(r.converged);
  CHECK(near(x[0], 1, 1e-6));
}

TEST_CASE("with values in single precision it still comes to the minimum") {
  const auto rounded = [](ConstSpan x, Span g) {
    return static_cast<double>(static_cast<float>(1 + rosenbrock(x, g)));
  };
  std::vector<double> x{-1.2, 1};
  const LbfgsResult r =
      minimise(rounded, x, {.tolerance = 1e-6, .noise = 1e-7});
  CHECK(r.converged);
  CHECK(near(x[0], 1, 1e-4));
}

TEST_CASE("what has not converged says so") {
  std::vector<double> x{-1.2, 1};
  const LbfgsResult r = minimise(rosenbrock, x, {.most_steps = 3});
  CHECK_FALSE(r.converged);
  CHECK(r.steps == 3);
  // The gradient of another function: no step descends.
  std::vector<double> y{1};
  const LbfgsResult wrong = minimise(
      [](ConstSpan at, Span g) {
        g[0] = -at[0];
        return at[0] * at[0];
      },
      y);
  CHECK_FALSE(wrong.converged);
  CHECK(y[0] == 1);
}

TEST_CASE("a start that is not finite is refused") {
  std::vector<double> x{0};
  try {
    minimise([](ConstSpan, Span) { return std::nan(""); }, x);
    FAIL("no error");
  } catch (const Error& e) {
    CHECK(e.code() == ExitCode::kNumerical);
  }
}

TEST_SUITE_END();

}  // namespace
