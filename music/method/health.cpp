#include "music/method/health.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace music {
namespace {

constexpr double kDead = 0.05;       // of a unit's fair share 1 / D_s
constexpr double kCollapsed = 0.5;   // of the usage entropy n samples can show
constexpr double kStarting = 0.1;    // of the way from uniform to one-hot
constexpr double kDisagree = -0.2;   // worse than uniform codes by this
constexpr double kRedundant = 0.5;

void add_total(JointEntropyTerms& terms, const JointEntropySpec& spec) {
  terms.total = spec.de * terms.de + spec.oe * terms.oe + spec.ti * terms.ti;
}

// Entropy of the histogram of n independent draws over `cells` equal cells, in
// expectation (counts taken as Poisson): log n - E log(1 + K), K ~ Poisson.
double entropy_of_draws(double n, double cells) {
  const double rate = n / cells;
  double expected = 0;
  const double last = rate + 10 * std::sqrt(rate) + 20;
  for (double k = std::max(1.0, std::floor(rate - 10 * std::sqrt(rate) - 20));
       k <= last; ++k)
    expected += std::log1p(k) *
                std::exp(k * std::log(rate) - rate - std::lgamma(k + 1));
  return std::log(n) - expected;
}

// H(mean q) of segment s in nats, mean of the views.
double segment_entropy(const float* mean_q, const Segments& segments,
                       std::int64_t s) {
  double entropy = 0;
  for (int view = 0; view < 2; ++view) {
    const float* q = mean_q + view * segments.units();
    double sum = 0, sum_log = 0;  // the clamp leaves the sum a little over 1
    for (std::int64_t d = segments.begin(s); d < segments.begin(s + 1); ++d) {
      const double p = static_cast<double>(q[d]);
      sum += p;
      if (p > 0) sum_log += p * std::log(p);
    }
    entropy += (std::log(sum) - sum_log / sum) / 2;
  }
  return entropy;
}

std::int64_t count_dead(const float* mean_q, const Segments& segments) {
  std::int64_t dead = 0;
  for (std::int64_t s = 0; s < segments.count(); ++s) {
    const float least = static_cast<float>(
        kDead / static_cast<double>(segments.size(s)));
    for (std::int64_t d = segments.begin(s); d < segments.begin(s + 1); ++d)
      dead += mean_q[d] < least && mean_q[segments.units() + d] < least;
  }
  return dead;
}

// mean_entropy: of one segment, in nats, over the batch.
double redundancy(const JointEntropyTerms& terms, std::int64_t n,
                  const Segments& segments, const JointEntropySpec& spec,
                  double mean_entropy) {
  const double count = static_cast<double>(segments.count());
  // Of blocks that weigh differently the sum tells nothing of their mean.
  if (count < 2 || !spec.blocks.empty()) return 0;
  const double joint = -terms.oe / (count * (count - 1)) /
                       entropy_weights(spec.norm, segments.count()).off_diagonal;
  const double independent = entropy_of_draws(static_cast<double>(n),
                                              std::exp(2 * mean_entropy));
  const double range = independent - mean_entropy;
  // When nearly every sample is alone in its cell anyway, nothing can be told.
  if (range < 0.1 * independent) return 0;
  return std::clamp((independent - joint) / range, 0.0, 1.0);
}

// How far from uniform (0) to one-hot and agreeing (1); below 0: the views
// agree less than uniform codes do.
double sharpness(const JointEntropyTerms& terms, const LossLines& lines,
                 Invariance form) {
  if (form == Invariance::kInner || form == Invariance::kXent)
    return 1 - terms.ti / lines.uniform.ti;
  const double range = lines.ideal.de - lines.uniform.de;
  // For D_S = 2 DE does not tell uniform from ideal.
  return range < 0 ? (terms.de - lines.uniform.de) / range : 1;
}

}  // namespace

LossLines loss_lines(const Segments& segments, const JointEntropySpec& spec,
                     std::int64_t n) {
  const std::int64_t count = segments.count();
  const auto [wd, wo] = entropy_weights(spec.norm, count);
  const auto weight = [&](std::int64_t s, std::int64_t o) {
    return spec.blocks.empty()
               ? 1.0
               : spec.blocks[static_cast<std::size_t>(s * count + o)];
  };
  LossLines lines;
  double log_sum = 0;
  for (std::int64_t s = 0; s < count; ++s) {
    const double size = static_cast<double>(segments.size(s));
    const double share = 1 / static_cast<double>(count);
    log_sum += std::log(size);
    const double own = weight(s, s);
    lines.uniform.de -= wd * own * 2 * std::log(size) / size;
    lines.ideal.de -= wd * own * std::log(size);
    if (spec.invariance == Invariance::kEq4) {
      lines.uniform.ti += share * size * 2 * std::log(size);
      // One-hot: every other unit of both views stands at the clamp.
      lines.ideal.ti -= share * 2 * (size - 1) * std::log(spec.clamp);
    } else if (spec.invariance != Invariance::kNone) {
      lines.uniform.ti += share * std::log(size);
    }
    for (std::int64_t o = 0; o < count; ++o) {
      if (o == s) continue;
      const double other = static_cast<double>(segments.size(o));
      const double w = wo * weight(s, o);
      const double cells = size * other;
      lines.uniform.oe -= w * std::log(cells);
      // Independent, or, below 0, each telling all of the other.
      lines.ideal.oe -= w * std::log(w < 0 ? std::max(size, other) : cells);
      lines.oe_floor -=
          w * std::log(std::min(static_cast<double>(n),
                                w < 0 ? std::max(size, other) : cells));
    }
  }
  lines.collapse.ti = lines.ideal.ti;
  if (spec.blocks.empty())
    lines.uniform.oe = lines.ideal.oe =
        -wo * 2 * static_cast<double>(count - 1) * log_sum;
  for (auto* terms : {&lines.uniform, &lines.collapse, &lines.ideal})
    add_total(*terms, spec);
  return lines;
}

Health assess(const JointEntropyTerms& terms, std::int64_t n,
              const Segments& segments, const JointEntropySpec& spec,
              const float* mean_q) {
  Health h;
  h.lines = loss_lines(segments, spec, n);
  h.agreement = spec.invariance == Invariance::kInner ||
                        spec.invariance == Invariance::kXent
                    ? std::exp(-terms.ti)
                    : std::numeric_limits<double>::quiet_NaN();
  h.dead_units = count_dead(mean_q, segments);
  h.usage_entropy_min = 1;
  const double count = static_cast<double>(segments.count());
  double mean_entropy = 0, reachable = 0;
  std::int64_t collapsed = 0;
  for (std::int64_t s = 0; s < segments.count(); ++s) {
    const double log_size = std::log(static_cast<double>(segments.size(s)));
    const double most =  // n one-hot codes touch at most n units
        std::min(1.0, std::log(static_cast<double>(n)) / log_size);
    const double entropy = segment_entropy(mean_q, segments, s);
    const double usage = entropy / log_size;
    mean_entropy += entropy / count;
    h.usage_entropy += usage / count;
    h.usage_entropy_min = std::min(h.usage_entropy_min, usage);
    reachable += most / count;
    collapsed += usage < kCollapsed * most;
  }
  if (!std::isfinite(terms.total)) {
    h.verdict = "diverged: the loss is not finite";
    return h;
  }
  h.redundancy = redundancy(terms, n, segments, spec, mean_entropy);
  const double sharp = sharpness(terms, h.lines, spec.invariance);
  if (h.usage_entropy < kCollapsed * reachable)
    h.verdict = fmt::format(
        "collapsed: segments use {:.0f} % of their range (entropy of the mean "
        "code; all units equally used would be 100 %)", 100 * h.usage_entropy);
  else if (collapsed > 0)
    h.verdict = fmt::format(
        "collapsed in {} of {} segments: the worst uses {:.0f} % of its range",
        collapsed, segments.count(), 100 * h.usage_entropy_min);
  else if (sharp < kDisagree)
    h.verdict = "views disagree: the two views of a sample get different codes";
  else if (sharp < kStarting)
    h.verdict = "starting (uniform codes)";
  else if (h.redundancy > kRedundant)
    h.verdict = fmt::format(
        "segments redundant: {:.0f} % of what a segment tells, another tells "
        "too", 100 * h.redundancy);
  else
    h.verdict = "healthy";
  return h;
}

}  // namespace music
