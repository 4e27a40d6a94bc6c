#pragma once
// How far a result is from what was expected. Any two ranges of numbers.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

namespace music::test {

// sum f(a_i, b_i), or infinity when the sizes differ.
template <typename A, typename B, typename F>
double sum_pairs(const A& a, const B& b, F f) {
  if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    sum += f(static_cast<double>(a[i]), static_cast<double>(b[i]));
  return sum;
}

// Euclidean norm.
template <typename A>
double norm(const A& a) {
  return std::sqrt(sum_pairs(a, a, [](double x, double y) { return x * y; }));
}

// Normalised mean square error: |a - b|^2 / |b|^2; b is the truth. The
// absolute square when b is 0. NaN and infinity in `a` come through.
template <typename A, typename B>
double nmse(const A& a, const B& b) {
  const double error =
      sum_pairs(a, b, [](double x, double y) { return (x - y) * (x - y); });
  const double power =
      sum_pairs(b, b, [](double x, double y) { return x * y; });
  return power > 0 ? error / power : error;
}

// |a - b| / max(|b|, floor), Euclidean. The floor is for truths that are 0 but
// for rounding, as the gradient of a bias in front of batch_norm.
template <typename A, typename B>
double norm_relative(const A& a, const B& b, double floor = 0) {
  const double error = std::sqrt(
      sum_pairs(a, b, [](double x, double y) { return (x - y) * (x - y); }));
  const double scale = std::max(norm(b), floor);
  return scale > 0 ? error / scale : error;
}

// |value - expected| / |expected|.
inline double relative_error(double value, double expected) {
  return std::abs(value - expected) / std::abs(expected);
}

// Largest |a_i - b_i| / max(|b_i|, floor).
template <typename A, typename B>
double max_relative(const A& a, const B& b, double floor = 1) {
  if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double x = static_cast<double>(a[i]), y = static_cast<double>(b[i]);
    const double error =
        x == y ? 0 : std::abs(x - y) / std::max(std::abs(y), floor);
    if (!(error <= worst)) worst = error;  // keeps NaN
    if (std::isnan(worst)) return worst;
  }
  return worst;
}

}  // namespace music::test
