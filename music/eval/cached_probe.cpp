#include "music/eval/cached_probe.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <utility>

#include "engine/core/rng.h"
#include "music/eval/cpu/head_products.h"

namespace music {
namespace {

using Clock = std::chrono::steady_clock;
using Rows = std::vector<std::int64_t>;

constexpr int kDefaultDecays = 12;
constexpr std::int64_t kBlock = 1024;  // rows that are scored at a time

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::vector<Rows> by_class(const Features& f, int classes) {
  std::vector<Rows> rows(static_cast<std::size_t>(classes));
  for (std::int64_t i = 0; i < f.count; ++i) {
    const int label = f.labels[static_cast<std::size_t>(i)];
    if (label < 0 || label >= classes)
      throw error(ExitCode::kData,
                  "[probe] training image {} has label {}: expected 0 to {}", i,
                  label, classes - 1);
    rows[static_cast<std::size_t>(label)].push_back(i);
  }
  for (std::size_t c = 0; c < rows.size(); ++c)
    if (rows[c].empty())
      throw error(ExitCode::kData,
                  "[probe] class {} of {} has no training image: expected at "
                  "least one of each", c, classes);
  return rows;
}

Features taken(const Features& f, const Rows& rows) {
  Features out;
  out.count = static_cast<std::int64_t>(rows.size());
  out.width = f.width;
  out.values.resize(static_cast<std::size_t>(out.count * f.width));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::copy_n(f.values.data() + rows[i] * f.width, f.width,
                out.values.data() + static_cast<std::int64_t>(i) * f.width);
    out.labels.push_back(f.labels[static_cast<std::size_t>(rows[i])]);
  }
  return out;
}

struct Division {
  Features learnt, held_out;
};

// Of each class its share, rounded up, but never all its images.
Division divided(const Features& f, int classes, const CachedProbeSpec& spec) {
  MUSIC_CHECK(spec.held_out > 0 && spec.held_out < 1,
              "[probe] {} of the images held out", spec.held_out);
  Rows learnt, held_out;
  std::vector<Rows> rows = by_class(f, classes);
  for (std::size_t c = 0; c < rows.size(); ++c) {
    Rows& mine = rows[c];
    Rng rng(spec.seed, RngPurpose::kShuffle, 0xFFFFFFFDu,
            static_cast<std::uint32_t>(c));
    for (std::size_t i = mine.size(); i > 1; --i)
      std::swap(mine[i - 1], mine[rng.below(static_cast<std::uint32_t>(i))]);
    const auto wanted = static_cast<std::size_t>(
        std::ceil(spec.held_out * static_cast<double>(mine.size()) - 1e-9));
    const std::size_t out = std::min(wanted, mine.size() - 1);
    held_out.insert(held_out.end(), mine.begin(),
                    mine.begin() + static_cast<std::ptrdiff_t>(out));
    learnt.insert(learnt.end(), mine.begin() + static_cast<std::ptrdiff_t>(out),
                  mine.end());
  }
  if (held_out.empty())
    throw error(ExitCode::kData,
                "[probe] one training image of each of {} classes: expected at "
                "least two of one, to choose the weight decay by", classes);
  std::ranges::sort(learnt);
  std::ranges::sort(held_out);
  return {taken(f, learnt), taken(f, held_out)};
}

std::vector<double> falling_decays(const CachedProbeSpec& spec,
                                   const LogisticProblem& problem,
                                   int classes) {
  std::vector<double> decays = spec.decays;
  if (decays.empty()) {
    // Features that are all constant have no scale.
    const double variance = problem.mean_variance();
    const double first =
        10 * (variance > 0 ? variance : 1) / static_cast<double>(classes);
    for (int i = 0; i < kDefaultDecays; ++i)
      decays.push_back(first * std::pow(10.0, -0.5 * i));
  }
  std::ranges::sort(decays, std::greater());
  return decays;
}

}  // namespace

HeadScore score_head(const LinearHead& head, const Features& f) {
  MUSIC_CHECK(f.count > 0 && f.width == head.width,
              "[probe] {} rows of {} features for a head on {}", f.count,
              f.width, head.width);
  for (const int label : f.labels)
    if (label < 0 || label >= head.classes)
      throw error(ExitCode::kData,
                  "[probe] an image has label {}: expected 0 to {}", label,
                  head.classes - 1);
  const std::int64_t block = std::min(kBlock, f.count);
  std::vector<float> logits(static_cast<std::size_t>(block * head.classes));
  std::vector<double> losses(static_cast<std::size_t>(f.count));
  std::int64_t top1 = 0, top5 = 0;
  for (std::int64_t begin = 0; begin < f.count; begin += block) {
    const std::int64_t rows = std::min(block, f.count - begin);
    cpu::head_logits(f.values.data() + begin * f.width, rows,
                     head.weight.data(), head.classes, head.width,
                     logits.data());
#pragma omp parallel for schedule(static) reduction(+ : top1, top5)
    for (std::int64_t r = 0; r < rows; ++r) {
      float* z = logits.data() + r * head.classes;
      const auto row = static_cast<std::size_t>(begin + r);
      for (std::int64_t c = 0; c < head.classes; ++c)
        z[c] += head.bias[static_cast<std::size_t>(c)];
      const float mine = z[f.labels[row]];
      const double most = *std::max_element(z, z + head.classes);
      std::int64_t before = -1;  // itself
      double sum = 0;
      for (std::int64_t c = 0; c < head.classes; ++c) {
        before += !(z[c] < mine);
        sum += std::exp(static_cast<double>(z[c]) - most);
      }
      losses[row] = std::log(sum) + most - static_cast<double>(mine);
      top1 += before < 1;
      top5 += before < 5;
    }
  }
  const double n = static_cast<double>(f.count);
  return {100 * static_cast<double>(top1) / n,
          100 * static_cast<double>(top5) / n,
          std::accumulate(losses.begin(), losses.end(), 0.0) / n};
}

CachedProbe cached_probe(const Features& train, const Features& test,
                         int classes, const CachedProbeSpec& spec) {
  const Clock::time_point start = Clock::now();
  CachedProbe probe;
  const auto fit = [&](LogisticProblem& problem, double decay,
                       const LinearHead* from, int most_steps, std::size_t done,
                       std::size_t all) {
    if (spec.progress)
      spec.progress(static_cast<std::int64_t>(done),
                    static_cast<std::int64_t>(all));
    LogisticFit found = problem.solve(
        {.decay = decay, .tolerance = spec.tolerance, .most_steps = most_steps},
        from);
    if (!found.converged)
      probe.notes.push_back(fmt::format(
          "weight decay {:.3g}: stopped after {} steps at a gradient of {:.1e}, "
          "above the tolerance of {:.1e}", decay, found.steps, found.gradient,
          spec.tolerance));
    return found;
  };

  LinearHead best;
  std::size_t chosen = 0, count = 0;
  {
    const Division parts = divided(train, classes, spec);
    probe.held_out = parts.held_out.count;
    LogisticProblem problem(parts.learnt, classes);
    const std::vector<double> decays = falling_decays(spec, problem, classes);
    count = decays.size();
    LinearHead last;
    for (std::size_t i = 0; i < count; ++i) {
      const Clock::time_point begin = Clock::now();
      LogisticFit found = fit(problem, decays[i], i > 0 ? &last : nullptr,
                              spec.most_steps, i, count + 1);
      last = std::move(found.head);
      probe.tried.push_back({decays[i], score_head(last, parts.held_out),
                             found.steps, seconds_since(begin)});
      // Smaller ones would take longer yet. No optimum, no choice.
      if (i > 0 && !found.converged) break;
      if (i > 0 && !(probe.tried[i].held_out.top1 >
                     probe.tried[chosen].held_out.top1))
        continue;
      chosen = i;
      best = last;
    }
  }
  probe.decay = probe.tried[chosen].decay;
  const bool whole = probe.tried.size() == count;  // the grid was gone through
  if (count > 1 && (chosen == 0 || (whole && chosen + 1 == count)))
    probe.notes.push_back(fmt::format(
        "the {} weight decay of the grid, {:.3g}, was chosen: a {} one may score "
        "higher", chosen == 0 ? "largest" : "smallest", probe.decay,
        chosen == 0 ? "larger" : "smaller"));
  LogisticProblem all(train, classes);
  // More rows than it was chosen by: more steps too.
  probe.fit = fit(all, probe.decay, &best, 4 * spec.most_steps, count, count + 1);
  probe.inverse_decay = 1 / (probe.decay * static_cast<double>(train.count));
  probe.test = score_head(probe.fit.head, test);
  probe.seconds = seconds_since(start);
  if (spec.progress)
    spec.progress(static_cast<std::int64_t>(count + 1),
                  static_cast<std::int64_t>(count + 1));
  return probe;
}

}  // namespace music
