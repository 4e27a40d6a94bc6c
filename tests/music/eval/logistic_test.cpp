#include "music/eval/logistic.h"

#include <doctest/doctest.h>
#include <omp.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "tests/support/golden.h"
#include "tests/support/gradcheck.h"
#include "tests/support/logistic_rows.h"
#include "tests/support/margin.h"
#include "tests/support/reference_logistic.h"

namespace {

using namespace music;
using namespace music::test;

std::vector<double> doubles(const std::vector<float>& v) {
  return {v.begin(), v.end()};
}

reference::Logistic reference_of(const Features& f, const LinearHead& h,
                                 double decay) {
  return reference::logistic(doubles(f.values), f.labels, doubles(h.weight),
                             doubles(h.bias), decay);
}

LogisticFit fit_logistic(const Features& f, int classes,
                         const LogisticSpec& spec,
                         const LinearHead* start = nullptr) {
  return LogisticProblem(f, classes).solve(spec, start);
}

std::string failure(const Features& f, int classes, LogisticSpec spec = {}) {
  try {
    fit_logistic(f, classes, spec);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

bool finite(const LinearHead& h) {
  for (float v : h.weight)
    if (!std::isfinite(v)) return false;
  return true;
}

TEST_SUITE_BEGIN("logistic");

TEST_CASE("the gradient of the reference, by finite differences") {
  const LogisticCase c{"many", 20, 7, 4, 0.4};
  const Features f = rows_of(c);
  const std::vector<double> x = doubles(f.values);
  std::vector<double> w = doubles(hashed("w", 28)), b = doubles(hashed("b", 4));
  reference::Array at({28}, w);
  at.shape = {32};
  at.data.insert(at.data.end(), b.begin(), b.end());
  const auto value = [&] {
    return reference::logistic(
        x, f.labels, {at.data.begin(), at.data.begin() + 28},
        {at.data.begin() + 28, at.data.end()}, 0.3);
  };
  const reference::Logistic here = value();
  reference::Array analytic({28}, here.weight_gradient);
  analytic.shape = {32};
  analytic.data.insert(analytic.data.end(), here.bias_gradient.begin(),
                       here.bias_gradient.end());
  const GradientCheck check =
      check_gradient([&] { return value().value; }, at, analytic);
  CHECK(check.checked == 32);
  CHECK(within(check.worst, kGradientTolerance));
}

TEST_CASE("objective and gradient are the reference's, over several blocks") {
  const LogisticCase c{"many", 9000, 12, 5, 0.4};  // a block has at most 4096 rows
  const Features f = rows_of(c);
  LinearHead head{5, 12, hashed("w", 60, 2), hashed("b", 5)};
  std::vector<double> w(60), b(5);
  const double value = logistic_objective(f, head, 0.01, w, b);
  const reference::Logistic expected = reference_of(f, head, 0.01);
  CHECK(near(value, expected.value, 1e-6));
  CHECK(within(norm_relative(w, expected.weight_gradient), 1e-6, "weight"));
  CHECK(within(norm_relative(b, expected.bias_gradient), 1e-6, "bias"));
  CHECK(logistic_objective(f, head, 0.01) == value);
}

TEST_CASE("the optimum is scikit-learn's") {
  const Golden golden("logistic");
  for (const LogisticCase& c : kLogisticCases) {
    const Features f = rows_of(c);
    REQUIRE(std::vector<std::int64_t>(f.labels.begin(), f.labels.end()) ==
            golden.integers(std::string(c.name) + "/labels"));
    for (const char* inverse : {"0.01", "1", "100"}) {
      const std::string key = fmt::format("{}/{}", c.name, inverse);
      CAPTURE(key);
      const double decay =
          1 / (std::stod(inverse) * static_cast<double>(c.rows));
      const LogisticFit fit = fit_logistic(
          f, static_cast<int>(c.classes), {.decay = decay, .tolerance = 1e-7});
      CHECK(fit.converged);
      CHECK(near(fit.objective, golden.scalar(key + "/objective"), 1e-6, key));
      CHECK(near(fit.loss, golden.scalar(key + "/loss"), 1e-5, key));
      CHECK(within(norm_relative(fit.head.weight, golden.get(key + "/weight")),
                   1e-3, key));
      std::vector<float> bias = fit.head.bias;
      float sum = 0;
      for (float v : bias) sum += v;
      for (float& v : bias) v -= sum / static_cast<float>(bias.size());
      CHECK(within(norm_relative(bias, golden.get(key + "/bias")), 2e-3, key));
      // What it reports is what it returns.
      CHECK(near(fit.objective, logistic_objective(f, fit.head, decay), 1e-6, key));
    }
  }
}

TEST_CASE("a start elsewhere ends in the same optimum, sooner when near") {
  const Features f = rows_of(kLogisticCases[0]);
  const LogisticFit first = fit_logistic(f, 6, {.decay = 1e-2});
  const LogisticFit cold = fit_logistic(f, 6, {.decay = 5e-3});
  const LogisticFit warm = fit_logistic(f, 6, {.decay = 5e-3}, &first.head);
  CHECK(near(warm.objective, cold.objective, 1e-6));
  CHECK(warm.steps < cold.steps);
  const LogisticFit again = fit_logistic(f, 6, {.decay = 5e-3}, &cold.head);
  CHECK(again.steps <= 3);
}

TEST_CASE("a class without rows gets no probability and changes nothing") {
  const Features f = rows_of(kLogisticCases[1]);
  Features gap = f;
  for (int& label : gap.labels) label = label == 2 ? 3 : label;
  const LogisticFit whole = fit_logistic(f, 3, {.decay = 1e-2});
  const LogisticFit fit = fit_logistic(gap, 5, {.decay = 1e-2});
  CHECK(fit.converged);
  CHECK(fit.objective == whole.objective);
  for (const std::size_t c : {2u, 4u}) {
    CHECK(fit.head.bias[c] == -std::numeric_limits<float>::infinity());
    for (std::size_t j = 0; j < 12; ++j) CHECK(fit.head.weight[c * 12 + j] == 0);
  }
  // As a start for one that has the class.
  const LogisticFit next = fit_logistic(f, 3, {.decay = 1e-2});
  LinearHead lacking = next.head;
  lacking.bias[1] = -std::numeric_limits<float>::infinity();
  CHECK(near(fit_logistic(f, 3, {.decay = 1e-2}, &lacking).objective,
             whole.objective, 1e-6));
}

TEST_CASE("degenerate rows") {
  // Constant features tell nothing: the frequencies remain.
  Features f;
  f.count = 8, f.width = 3;
  f.values.assign(24, 5.0f);
  f.labels = {0, 0, 0, 0, 1, 1, 2, 2};
  const LogisticFit fit = fit_logistic(f, 3, {.decay = 1e-3});
  CHECK(fit.converged);
  CHECK(near(fit.loss, 1.5 * std::log(2.0), 1e-6));
  for (float w : fit.head.weight) CHECK(within(std::abs(w), 1e-6));
  // One column among others, and of large values.
  Features wide = rows_of(kLogisticCases[0]);
  for (std::int64_t i = 0; i < wide.count; ++i)
    wide.values[static_cast<std::size_t>(i * wide.width)] = 1000;
  CHECK(fit_logistic(wide, 6, {.decay = 1e-3}).converged);
  // One row; one class; separable rows with hardly a decay.
  Features one = rows_of(kLogisticCases[2]);
  one.count = 1, one.values.resize(40), one.labels.resize(1);
  CHECK(near(fit_logistic(one, 5, {}).loss, 0, 1e-6));
  Features same = rows_of(kLogisticCases[2]);
  std::fill(same.labels.begin(), same.labels.end(), 3);
  CHECK(near(fit_logistic(same, 5, {}).loss, 0, 1e-6));
  const LogisticFit sure = fit_logistic(rows_of(kLogisticCases[1]), 3, {.decay = 1e-9});
  CHECK(finite(sure.head));
  CHECK(within(sure.loss, 1e-4));
}

TEST_CASE("any number of threads, the same optimum") {
  const Features f = rows_of(kLogisticCases[0]);
  const int before = omp_get_max_threads();
  std::vector<LogisticFit> fits;
  for (const int threads : {1, 2}) {
    omp_set_num_threads(threads);
    fits.push_back(fit_logistic(f, 6, {.decay = 1e-3}));
    fits.push_back(fit_logistic(f, 6, {.decay = 1e-3}));
  }
  omp_set_num_threads(before);
  CHECK(fits[0].head.weight == fits[1].head.weight);
  CHECK(fits[2].head.weight == fits[3].head.weight);
  CHECK(near(fits[0].objective, fits[2].objective, 1e-7));
}

TEST_CASE("what cannot be solved is refused") {
  Features f = rows_of(kLogisticCases[0]);
  CHECK(failure(f, 6, {.decay = 0}).find("expected one above 0") !=
        std::string::npos);
  CHECK(failure(f, 5).find("expected 0 to 4") != std::string::npos);
  f.values[24 * 7 + 3] = NAN;
  CHECK(failure(f, 6) ==
        "[logistic] row 7 has a feature that is not finite");
}

TEST_SUITE_END();

}  // namespace
