#include "music/eval/logistic.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/optim/lbfgs.h"
#include "music/eval/cpu/head_products.h"

namespace music {
namespace {

// Of the value, by products in fp32: tells L-BFGS when to go by slopes.
constexpr double kNoise = 1e-7;

void check(const Features& f, std::int64_t classes) {
  MUSIC_CHECK(f.count > 0 && f.width > 0 && classes > 0 &&
                  f.values.size() ==
                      static_cast<std::size_t>(f.count * f.width) &&
                  f.labels.size() == static_cast<std::size_t>(f.count),
              "[logistic] {} rows of {} features, {} classes", f.count, f.width,
              classes);
  for (std::int64_t i = 0; i < f.count; ++i) {
    const int label = f.labels[static_cast<std::size_t>(i)];
    if (label < 0 || label >= classes)
      throw error(ExitCode::kData,
                  "[logistic] row {} has label {}: expected 0 to {}", i, label,
                  classes - 1);
    const float* row = f.values.data() + i * f.width;
    if (!std::all_of(row, row + f.width, [](float v) { return std::isfinite(v); }))
      throw error(ExitCode::kData,
                  "[logistic] row {} has a feature that is not finite", i);
  }
}

// Less their means and over their deviations, in place; a constant feature
// becomes zeros. Columns are shared out: a thread count changes no bit.
void standardise(Features& f, std::vector<double>& mean,
                 std::vector<double>& deviation) {
  mean.assign(static_cast<std::size_t>(f.width), 0);
  deviation.assign(static_cast<std::size_t>(f.width), 0);
  const double n = static_cast<double>(f.count);
  constexpr std::int64_t kColumns = 64;
#pragma omp parallel for schedule(static)
  for (std::int64_t begin = 0; begin < f.width; begin += kColumns) {
    const std::int64_t end = std::min(f.width, begin + kColumns);
    const auto each = [&](auto&& visit) {
      for (std::int64_t i = 0; i < f.count; ++i)
        for (std::int64_t j = begin; j < end; ++j)
          visit(static_cast<std::size_t>(j), f.values.data()[i * f.width + j]);
    };
    each([&](std::size_t j, float v) { mean[j] += static_cast<double>(v) / n; });
    each([&](std::size_t j, float v) {
      const double d = static_cast<double>(v) - mean[j];
      deviation[j] += d * d / n;
    });
    for (std::int64_t j = begin; j < end; ++j) {
      double& d = deviation[static_cast<std::size_t>(j)];
      const double m = mean[static_cast<std::size_t>(j)];
      // What rounding of the mean leaves of a constant is none.
      d = d > 1e-24 * m * m ? std::sqrt(d) : 0;
    }
    each([&](std::size_t j, float& v) {
      v = deviation[j] > 0 ? static_cast<float>(
                                 (static_cast<double>(v) - mean[j]) / deviation[j])
                           : 0.0f;
    });
  }
}

// Loss and gradient of heads over the same rows, block by block.
class CrossEntropy {
 public:
  CrossEntropy(const Features& features, std::int64_t classes)
      : features_(features),
        classes_(classes),
        block_(std::clamp<std::int64_t>((4 << 20) / classes, 64, 4096)) {
    block_ = std::min(block_, features.count);
    logits_.resize(static_cast<std::size_t>(block_ * classes));
    part_.resize(static_cast<std::size_t>(classes * features.width));
    losses_.resize(static_cast<std::size_t>(block_));
  }

  // The mean over rows of the cross-entropy of logits x.w + bias, and its
  // gradient in both.
  double evaluate(const std::vector<float>& weight, std::span<const double> bias,
                  std::span<double> weight_gradient,
                  std::span<double> bias_gradient) {
    std::ranges::fill(weight_gradient, 0.0);
    std::ranges::fill(bias_gradient, 0.0);
    const double n = static_cast<double>(features_.count);
    double sum = 0;
    for (std::int64_t begin = 0; begin < features_.count; begin += block_) {
      const std::int64_t rows = std::min(block_, features_.count - begin);
      const float* x = features_.values.data() + begin * features_.width;
      cpu::head_logits(x, rows, weight.data(), classes_, features_.width,
                       logits_.data());
      residuals(begin, rows, bias);
      for (std::int64_t r = 0; r < rows; ++r)
        sum += losses_[static_cast<std::size_t>(r)];
      if (weight_gradient.empty()) continue;
      cpu::head_gradient(logits_.data(), rows, classes_, x, features_.width,
                         part_.data());
#pragma omp parallel for simd schedule(static)
      for (std::size_t i = 0; i < part_.size(); ++i)
        weight_gradient[i] += static_cast<double>(part_[i]) / n;
      add_columns(rows, n, bias_gradient);
    }
    return sum / n;
  }

 private:
  // Logits become probabilities less the label's 1; the rows' losses.
  void residuals(std::int64_t begin, std::int64_t rows,
                 std::span<const double> bias) {
    const std::vector<float> shift(bias.begin(), bias.end());
#pragma omp parallel for schedule(static)
    for (std::int64_t r = 0; r < rows; ++r) {
      float* z = logits_.data() + r * classes_;
      const auto label =
          static_cast<std::size_t>(features_.labels[static_cast<std::size_t>(begin + r)]);
      float most = -std::numeric_limits<float>::infinity();
      for (std::int64_t c = 0; c < classes_; ++c) {
        z[c] += shift[static_cast<std::size_t>(c)];
        most = std::max(most, z[c]);
      }
      const double truth = static_cast<double>(z[label]) - most;
      double sum = 0;
      for (std::int64_t c = 0; c < classes_; ++c) {
        z[c] = std::exp(z[c] - most);
        sum += static_cast<double>(z[c]);
      }
      const float inverse = static_cast<float>(1 / sum);
      // 1 - p of the label from the others: it does not round to zero.
      double others = 0;
      for (std::int64_t c = 0; c < classes_; ++c) {
        if (c != static_cast<std::int64_t>(label))
          others += static_cast<double>(z[c]);
        z[c] *= inverse;
      }
      z[label] = static_cast<float>(-others / sum);
      const double near = others / static_cast<double>(std::exp(truth));
      losses_[static_cast<std::size_t>(r)] =
          near < 0.5 ? std::log1p(near) : std::log(sum) - truth;
    }
  }

  void add_columns(std::int64_t rows, double n, std::span<double> sums) const {
    constexpr std::int64_t kColumns = 64;
#pragma omp parallel for schedule(static)
    for (std::int64_t begin = 0; begin < classes_; begin += kColumns) {
      const std::int64_t end = std::min(classes_, begin + kColumns);
      for (std::int64_t r = 0; r < rows; ++r)
        for (std::int64_t c = begin; c < end; ++c)
          sums[static_cast<std::size_t>(c)] +=
              static_cast<double>(logits_.data()[r * classes_ + c]) / n;
    }
  }

  const Features& features_;
  std::int64_t classes_, block_;
  std::vector<float> logits_, part_;
  std::vector<double> losses_;
};

}  // namespace

// The problem in variables about which its curvature is alike: weights of the
// standardised features times a scale, then biases times one.
class LogisticProblem::Objective {
 public:
  Objective(const LogisticProblem& problem, double decay)
      : p_(problem),
        width_(problem.mean_.size()),
        classes_(problem.present_.size()),
        cross_entropy_(problem.rows_, static_cast<std::int64_t>(classes_)),
        weight_(classes_ * width_),
        bias_(classes_) {
    const double k = static_cast<double>(classes_);
    const double curvature = std::max((k - 1) / (k * k), 1e-6);
    bias_scale_ = std::sqrt(curvature);
    // Of a weight w of a feature, decay / 2 w^2 is penalty / 2 of the
    // standardised feature's.
    for (const double d : problem.deviation_) {
      penalty_.push_back(d > 0 ? decay / (d * d) : 1);
      scale_.push_back(std::sqrt(curvature + penalty_.back()));
    }
  }

  std::vector<double> begin(const LinearHead* start) const {
    std::vector<double> x(weight_.size() + classes_);
    for (std::size_t c = 0; c < classes_; ++c) {
      const std::size_t from = p_.present_[c];
      double bias = std::log(p_.share_[c]);
      if (start && std::isfinite(start->bias[from])) {
        bias = start->bias[from];
        for (std::size_t j = 0; j < width_; ++j) {
          const double w = start->weight[from * width_ + j];
          bias += w * p_.mean_[j];
          x[c * width_ + j] = w * p_.deviation_[j] * scale_[j];
        }
      }
      x[weight_.size() + c] = bias * bias_scale_;
    }
    return x;
  }

  double operator()(std::span<const double> x, std::span<double> gradient) {
    std::vector<double> penalties(classes_);
#pragma omp parallel for schedule(static)
    for (std::size_t c = 0; c < classes_; ++c) {
      bias_[c] = x[weight_.size() + c] / bias_scale_;
      for (std::size_t j = 0; j < width_; ++j) {
        const double w = x[c * width_ + j] / scale_[j];
        penalties[c] += penalty_[j] * w * w;
        weight_[c * width_ + j] = static_cast<float>(w);
      }
    }
    const auto weights = gradient.first(weight_.size());
    const auto biases = gradient.subspan(weight_.size());
    loss_ = cross_entropy_.evaluate(weight_, bias_, weights, biases);
#pragma omp parallel for schedule(static)
    for (std::size_t c = 0; c < classes_; ++c) {
      for (std::size_t j = 0; j < width_; ++j) {
        double& g = weights[c * width_ + j];
        g = (g + penalty_[j] * x[c * width_ + j] / scale_[j]) / scale_[j];
      }
      biases[c] /= bias_scale_;
    }
    double penalty = 0;
    for (const double p : penalties) penalty += p;
    return loss_ + 0.5 * penalty;
  }

  double loss() const { return loss_; }  // where it was evaluated last

  LinearHead head(std::span<const double> x) const {
    LinearHead h{p_.all_classes_, static_cast<std::int64_t>(width_), {}, {}};
    const auto all = static_cast<std::size_t>(h.classes);
    h.weight.resize(all * width_);
    h.bias.assign(all, -std::numeric_limits<float>::infinity());
    for (std::size_t c = 0; c < classes_; ++c) {
      const std::size_t to = p_.present_[c];
      double bias = x[weight_.size() + c] / bias_scale_;
      for (std::size_t j = 0; j < width_; ++j) {
        if (!(p_.deviation_[j] > 0)) continue;
        const double w = x[c * width_ + j] / scale_[j] / p_.deviation_[j];
        bias -= w * p_.mean_[j];
        h.weight[to * width_ + j] = static_cast<float>(w);
      }
      h.bias[to] = static_cast<float>(bias);
    }
    return h;
  }

 private:
  const LogisticProblem& p_;
  std::size_t width_, classes_;
  CrossEntropy cross_entropy_;
  std::vector<float> weight_;
  std::vector<double> bias_;
  std::vector<double> penalty_, scale_;  // of features
  double bias_scale_ = 1, loss_ = 0;
};

LogisticProblem::LogisticProblem(const Features& features, int classes)
    : rows_(features), all_classes_(classes) {
  check(features, classes);
  std::vector<std::int64_t> rows(static_cast<std::size_t>(classes));
  for (const int label : rows_.labels) ++rows[static_cast<std::size_t>(label)];
  std::vector<int> place(rows.size(), -1);
  for (std::size_t c = 0; c < rows.size(); ++c) {
    if (rows[c] == 0) continue;
    place[c] = static_cast<int>(present_.size());
    present_.push_back(c);
    share_.push_back(static_cast<double>(rows[c]) /
                     static_cast<double>(rows_.count));
  }
  for (int& label : rows_.labels) label = place[static_cast<std::size_t>(label)];
  standardise(rows_, mean_, deviation_);
  for (const double d : deviation_)
    mean_variance_ += d * d / static_cast<double>(deviation_.size());
}

LogisticFit LogisticProblem::solve(const LogisticSpec& spec,
                                   const LinearHead* start) {
  if (!(spec.decay > 0) || !std::isfinite(spec.decay))
    throw error(ExitCode::kUsage,
                "[logistic] weight decay {}: expected one above 0, without which "
                "separable classes have no optimum", spec.decay);
  MUSIC_CHECK(!start || (start->classes == all_classes_ &&
                         start->width == rows_.width),
              "[logistic] a start of {} classes and {} features for {} and {}",
              start->classes, start->width, all_classes_, rows_.width);
  Objective objective(*this, spec.decay);
  std::vector<double> x = objective.begin(start), gradient(x.size());
  const LbfgsResult found = minimise(
      [&](std::span<const double> at, std::span<double> g) {
        return objective(at, g);
      },
      x, {.tolerance = spec.tolerance, .most_steps = spec.most_steps,
          .noise = kNoise});
  LogisticFit fit{.head = objective.head(x),
                  .gradient = found.gradient,
                  .steps = found.steps,
                  .evaluations = found.evaluations,
                  .converged = found.converged};
  fit.objective = objective(x, gradient);
  fit.loss = objective.loss();
  return fit;
}

double logistic_objective(const Features& features, const LinearHead& head,
                          double decay, std::span<double> weight_gradient,
                          std::span<double> bias_gradient) {
  check(features, head.classes);
  CrossEntropy loss(features, head.classes);
  const std::vector<double> bias(head.bias.begin(), head.bias.end());
  double value =
      loss.evaluate(head.weight, bias, weight_gradient, bias_gradient);
  for (std::size_t i = 0; i < head.weight.size(); ++i) {
    const double w = head.weight[i];
    value += 0.5 * decay * w * w;
    if (!weight_gradient.empty()) weight_gradient[i] += decay * w;
  }
  return value;
}

}  // namespace music
