#include "tools/linear_cached.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <functional>
#include <limits>

#include "music/eval/logistic.h"

namespace music {
namespace {

ClassifierScore score(const LinearHead& head, const Features& f) {
  ClassifierScore s;
  std::vector<float> z(static_cast<std::size_t>(head.classes));
  LogitCounts counts;
  for (std::int64_t row = 0; row < f.count; ++row) {
    const float* x = f.values.data() + row * f.width;
    for (std::int64_t c = 0; c < head.classes; ++c) {
      const float* w = head.weight.data() + c * head.width;
      // A class without training images has no probability.
      double sum = static_cast<double>(head.bias[static_cast<std::size_t>(c)]);
      for (std::int64_t i = 0; i < f.width; ++i)
        sum += static_cast<double>(w[i]) * static_cast<double>(x[i]);
      z[static_cast<std::size_t>(c)] = static_cast<float>(sum);
    }
    counts.add(z, f.labels[static_cast<std::size_t>(row)]);
  }
  const double n = static_cast<double>(f.count);
  s.top1 = 100 * static_cast<double>(counts.top1) / n;
  s.top5 = 100 * static_cast<double>(counts.top5) / n;
  s.loss = counts.loss / n;
  return s;
}

}  // namespace

CachedScores score_cached(Model& model, const data::Dataset& train,
                          const data::Dataset& test,
                          const data::Dataset* holdout, int classes,
                          const CachedSpec& spec) {
  const Features rows = extract_features(model, train, spec.features);
  LogisticProblem problem(rows, classes);
  CachedScores out;
  out.decays = spec.decays;
  if (out.decays.empty())
    for (const double factor : {1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6})
      out.decays.push_back(factor * problem.mean_variance());
  std::ranges::sort(out.decays, std::greater());
  const Features tested = extract_features(model, test, spec.features);
  Features held;
  if (holdout) held = extract_features(model, *holdout, spec.features);
  out.test.images = tested.count, out.test.bad_images = tested.bad_images;
  out.holdout.images = held.count, out.holdout.bad_images = held.bad_images;
  LinearHead head;
  for (std::size_t i = 0; i < out.decays.size(); ++i) {
    const LogisticFit fit =
        problem.solve({.decay = out.decays[i]}, i > 0 ? &head : nullptr);
    head = fit.head;
    out.converged &= fit.converged;
    spdlog::info("[linear] weight decay {:.3g}: loss {:.4f}, {} steps{}",
                 out.decays[i], fit.loss, fit.steps,
                 fit.converged ? "" : ", NOT CONVERGED");
    const auto add = [&](ClassifierScores& to, const Features& f) {
      to.classifiers.push_back(score(head, f));
      to.classifiers.back().name = fmt::format("wd{:.3g}", out.decays[i]);
    };
    add(out.test, tested);
    if (holdout) add(out.holdout, held);
  }
  return out;
}

}  // namespace music
