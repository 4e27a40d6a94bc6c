#include "music/eval/linear_svm.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "engine/core/error.h"
#include "engine/core/rng.h"

namespace music {
namespace {

// In an order that no vector width changes.
constexpr int kLanes = 32;

double dot(const double* w, const float* x, std::int64_t width) {
  double sum[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= width; i += kLanes)
    for (int l = 0; l < kLanes; ++l)
      sum[l] += w[i + l] * static_cast<double>(x[i + l]);
  for (int l = 0; i < width; ++i, ++l) sum[l] += w[i] * static_cast<double>(x[i]);
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int l = 0; l < half; ++l) sum[l] += sum[l + half];
  return sum[0];
}

double square(const float* x, std::int64_t width) {
  double sum[kLanes] = {};
  for (std::int64_t i = 0; i < width; ++i)
    sum[i % kLanes] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return std::accumulate(sum, sum + kLanes, 0.0);
}

void add(double factor, const float* x, std::int64_t width, double* w) {
  for (std::int64_t i = 0; i < width; ++i)
    w[i] += factor * static_cast<double>(x[i]);
}

}  // namespace

double SvmModel::decision(const float* row) const {
  return dot(weights.data(), row, static_cast<std::int64_t>(weights.size())) +
         bias;
}

SvmSolver::SvmSolver(const FeatureMatrix& matrix, std::vector<std::int64_t> rows,
                     std::vector<std::int8_t> targets)
    : matrix_(matrix), rows_(std::move(rows)), targets_(std::move(targets)),
      squares_(rows_.size()), alpha_(rows_.size()) {
  MUSIC_CHECK(rows_.size() == targets_.size() && !rows_.empty(),
              "[svm] {} rows with {} targets", rows_.size(), targets_.size());
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    MUSIC_CHECK(targets_[i] == 1 || targets_[i] == -1,
                "[svm] a target of {}, expected 1 or -1", targets_[i]);
    MUSIC_CHECK(rows_[i] >= 0 && rows_[i] < matrix_.count, "[svm] row {} of {}",
                rows_[i], matrix_.count);
    squares_[i] = square(matrix_.row(rows_[i]), matrix_.width) + 1;
  }
  model_.weights.resize(static_cast<std::size_t>(matrix_.width));
}

const SvmModel& SvmSolver::solve(const SvmSpec& spec) {
  MUSIC_CHECK(spec.cost > 0 && spec.positive_weight > 0 &&
                  spec.negative_weight > 0 && spec.tolerance > 0 &&
                  spec.iterations >= 1,
              "[svm] cost {}, weights {} and {}, tolerance {}, {} iterations",
              spec.cost, spec.positive_weight, spec.negative_weight,
              spec.tolerance, spec.iterations);
  constexpr double kFar = std::numeric_limits<double>::infinity();
  // 1 / (2 C_i): what the squared hinge adds to the dual's diagonal.
  const double diagonal[] = {0.5 / (spec.cost * spec.negative_weight),
                             0.5 / (spec.cost * spec.positive_weight)};
  std::vector<std::uint32_t> order(rows_.size());
  std::iota(order.begin(), order.end(), 0u);
  std::size_t active = order.size();
  Rng rng(spec.seed, RngPurpose::kSvm);
  double shrink_above = kFar;
  double* w = model_.weights.data();
  model_.converged = false;
  for (model_.iterations = 0; model_.iterations < spec.iterations;) {
    for (std::size_t i = active; i > 1; --i)
      std::swap(order[i - 1], order[rng.below(static_cast<std::uint32_t>(i))]);
    double largest = -kFar, smallest = kFar;
    for (std::size_t s = 0; s < active;) {
      const std::size_t i = order[s];
      const float* x = matrix_.row(rows_[i]);
      const double y = targets_[i];
      const double d = diagonal[y > 0];
      const double gradient =
          y * (dot(w, x, matrix_.width) + model_.bias) - 1 + alpha_[i] * d;
      double projected = gradient;
      if (alpha_[i] == 0) {
        if (gradient > shrink_above) {
          std::swap(order[s], order[--active]);
          continue;
        }
        projected = std::min(gradient, 0.0);
      }
      largest = std::max(largest, projected);
      smallest = std::min(smallest, projected);
      if (std::abs(projected) > 1e-12) {
        const double before = alpha_[i];
        alpha_[i] = std::max(before - gradient / (squares_[i] + d), 0.0);
        const double step = (alpha_[i] - before) * y;
        add(step, x, matrix_.width, w);
        model_.bias += step;
      }
      ++s;
    }
    ++model_.iterations;
    // Nothing left to move: -inf - inf counts as that.
    if (active == 0 || largest - smallest <= spec.tolerance) {
      model_.converged = active == order.size();
      if (model_.converged) break;
      // Those that were left out have their say.
      active = order.size();
      shrink_above = kFar;
      continue;
    }
    shrink_above = largest > 0 ? largest : kFar;
  }
  return model_;
}

}  // namespace music
