#include "engine/optim/lbfgs.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "engine/core/error.h"

namespace music {
namespace {

constexpr double kDecrease = 1e-4, kCurvature = 0.9;  // c1, c2
constexpr int kMostTrials = 30;                       // of a line search
constexpr std::size_t kWorthThreads = 1 << 16;        // elements

// Sums of fixed pieces, added in order: no thread count changes a bit.
template <typename A, typename B>
double dot(std::span<const A> a, std::span<const B> b) {
  constexpr std::int64_t kPiece = 4096;
  const auto n = static_cast<std::int64_t>(a.size());
  std::vector<double> sums(static_cast<std::size_t>((n + kPiece - 1) / kPiece));
#pragma omp parallel for schedule(static) if (a.size() > kWorthThreads)
  for (std::int64_t p = 0; p < static_cast<std::int64_t>(sums.size()); ++p) {
    double sum = 0;
    const std::int64_t end = std::min(n, (p + 1) * kPiece);
#pragma omp simd reduction(+ : sum)
    for (std::int64_t i = p * kPiece; i < end; ++i)
      sum += static_cast<double>(a.data()[i]) * static_cast<double>(b.data()[i]);
    sums[static_cast<std::size_t>(p)] = sum;
  }
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

// x += factor * d
template <typename D>
void add(std::span<double> x, double factor, std::span<const D> d) {
#pragma omp parallel for simd schedule(static) if (parallel : x.size() > kWorthThreads)
  for (std::size_t i = 0; i < x.size(); ++i)
    x[i] += factor * static_cast<double>(d[i]);
}

double largest(std::span<const double> g) {
  double most = 0;
#pragma omp parallel for simd schedule(static) reduction(max : most) \
    if (parallel : g.size() > kWorthThreads)
  for (std::size_t i = 0; i < g.size(); ++i)
    most = std::max(most, std::abs(g[i]));
  return most;
}

// The last steps s and changes of the gradient y, in single precision: they
// make a direction, whose quality rounding does not change.
class History {
 public:
  explicit History(int most) : most_(static_cast<std::size_t>(most)) {}

  void add(std::span<const double> s, std::span<const double> y) {
    Pair pair;
    if (pairs_.size() == most_) {
      pair = std::move(pairs_.front());
      pairs_.erase(pairs_.begin());
    }
    pair.s.assign(s.begin(), s.end());
    pair.y.assign(y.begin(), y.end());
    const double sy = dot<float, float>(pair.s, pair.y);
    const double yy = dot<float, float>(pair.y, pair.y);
    if (!(sy > 1e-12 * yy)) return;  // no curvature in it
    pair.inverse = 1 / sy;
    scale_ = sy / yy;
    pairs_.push_back(std::move(pair));
  }
  void clear() { pairs_.clear(); }
  bool empty() const { return pairs_.empty(); }

  // d = -H g
  void direction(std::span<const double> g, std::span<double> d) const {
    std::vector<double> alpha(pairs_.size());
    for (std::size_t i = 0; i < d.size(); ++i) d[i] = -g[i];
    for (std::size_t i = pairs_.size(); i-- > 0;) {
      alpha[i] = pairs_[i].inverse * dot<float, double>(pairs_[i].s, d);
      music::add<float>(d, -alpha[i], pairs_[i].y);
    }
    if (!empty())
      for (double& v : d) v *= scale_;
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
      const double beta = pairs_[i].inverse * dot<float, double>(pairs_[i].y, d);
      music::add<float>(d, alpha[i] - beta, pairs_[i].s);
    }
  }

 private:
  struct Pair {
    std::vector<float> s, y;
    double inverse = 0;  // 1 / s.y
  };
  std::size_t most_;
  double scale_ = 1;
  std::vector<Pair> pairs_;  // oldest first
};

struct Trial {
  double at = 0, value = 0, slope = 0;
};

// Between a and b, where a cubic through values and slopes is least, but not
// near the ends; the middle where there is no such.
double between(const Trial& a, const Trial& b) {
  const double width = b.at - a.at, middle = a.at + 0.5 * width;
  if (!std::isfinite(b.value) || !std::isfinite(b.slope)) return middle;
  const double d = a.slope + b.slope - 3 * (a.value - b.value) / (a.at - b.at);
  const double square = d * d - a.slope * b.slope;
  if (square < 0) return middle;
  const double root = std::copysign(std::sqrt(square), width);
  const double at = b.at - width * (b.slope + root - d) /
                               (b.slope - a.slope + 2 * root);
  const double low = a.at + 0.1 * width, high = a.at + 0.9 * width;
  if (!std::isfinite(at)) return middle;
  return std::clamp(at, std::min(low, high), std::max(low, high));
}

// A step length that meets the strong Wolfe conditions, evaluated last; or, of
// those tried, the best that descends; nothing if none does.
template <typename F>
std::optional<Trial> search(const F& evaluate, double value, double slope,
                            double first, double noise) {
  const Trial start{0, value, slope};
  const double slack = noise * std::abs(value);
  const auto descends = [&](const Trial& t) {
    return t.value <= value + kDecrease * t.at * slope ||
           (t.value <= value + slack && t.slope <= (2 * kDecrease - 1) * slope);
  };
  Trial low = start, last = start;
  std::optional<Trial> high;
  double at = first;
  for (int i = 0; i < kMostTrials; ++i) {
    last = evaluate(at);
    const bool good = std::isfinite(last.value) && std::isfinite(last.slope) &&
                      descends(last);
    if (good && std::abs(last.slope) <= -kCurvature * slope) return last;
    if (!good || last.value > low.value + slack) {
      high = last;
    } else {
      // The minimum lies behind low where the slope says so.
      if (last.slope * (high ? high->at - low.at : 1.0) >= 0) high = low;
      low = last;
    }
    if (high && std::abs(high->at - low.at) <= 1e-10 * std::abs(low.at)) break;
    at = high ? between(low, *high) : 3 * at;
  }
  if (!(low.value < value)) return std::nullopt;
  return last.at == low.at ? last : evaluate(low.at);
}

}  // namespace

LbfgsResult minimise(const SmoothFunction& f, std::span<double> x,
                     const LbfgsSpec& spec) {
  const std::size_t n = x.size();
  std::vector<double> g(n), d(n), next_x(n), next_g(n);
  LbfgsResult result;
  result.value = f(x, g);
  result.evaluations = 1;
  if (!std::isfinite(result.value))
    throw error(ExitCode::kNumerical, "[lbfgs] the function is {} at its start",
                result.value);
  History history(spec.history);
  for (;; ++result.steps) {
    result.gradient = largest(g);
    result.converged = result.gradient <= spec.tolerance;
    if (result.converged || result.steps >= spec.most_steps) return result;
    history.direction(g, d);
    double slope = dot<double, double>(g, d);
    if (!(slope < 0)) {  // rounding: begin anew
      history.clear();
      history.direction(g, d);
      slope = dot<double, double>(g, d);
    }
    const auto evaluate = [&](double at) {
      std::copy(x.begin(), x.end(), next_x.begin());
      add<double>(next_x, at, d);
      ++result.evaluations;
      const double value = f(next_x, next_g);
      return Trial{at, value, dot<double, double>(next_g, d)};
    };
    // Without a history d has no length: one unit in all at first.
    const double first =
        history.empty() ? std::min(1.0, 1 / std::sqrt(-slope)) : 1.0;
    const auto step = search(evaluate, result.value, slope, first, spec.noise);
    if (!step) {
      if (history.empty()) return result;
      history.clear();  // once more along the gradient
      continue;
    }
    result.value = step->value;
    std::vector<double>& y = g;  // the old gradient becomes the change
    for (std::size_t i = 0; i < n; ++i) {
      d[i] *= step->at;
      y[i] = next_g[i] - g[i];
    }
    history.add(d, y);
    std::copy(next_x.begin(), next_x.end(), x.begin());
    std::swap(g, next_g);
  }
}

}  // namespace music
