#include "tools/linear_cached.h"

#include <spdlog/spdlog.h>

#include <chrono>

namespace music {

CachedScore score_cached(Model& model, const data::Dataset& train,
                         const data::Dataset& test, int classes,
                         const FeatureSpec& features,
                         const CachedProbeSpec& spec) {
  const auto start = std::chrono::steady_clock::now();
  const Features rows = extract_features(model, train, features);
  const Features tested = extract_features(model, test, features);
  CachedScore score;
  score.probe = cached_probe(rows, tested, classes, spec);
  for (const auto& tried : score.probe.tried)
    spdlog::info("[linear] weight decay {:.3g}: top-1 {:.2f} % of {} held-out "
                 "images, {} steps, {:.1f} s", tried.decay, tried.held_out.top1,
                 score.probe.held_out, tried.steps, tried.seconds);
  for (const std::string& note : score.probe.notes)
    spdlog::warn("[linear] {}", note);
  const HeadScore& s = score.probe.test;
  score.test = {tested.count, tested.bad_images, {{"", s.top1, s.top5, s.loss}}};
  score.seconds = std::chrono::duration<double>(
                      std::chrono::steady_clock::now() - start).count();
  return score;
}

std::vector<std::string> notes_of(const CachedScore& score) {
  const CachedProbe& p = score.probe;
  std::vector<std::string> notes{
      fmt::format("cached features, no augmentation, the optimum: a protocol of "
                  "ours, not that of published numbers; {:.1f} s, of which the "
                  "classifier {:.1f} s", score.seconds, p.seconds),
      fmt::format("weight decay {:.3g} (scikit-learn's C {:.3g}) of {} by {} "
                  "held-out training images, then solved on all of them: {} "
                  "steps, cross-entropy {:.4f}", p.decay, p.inverse_decay,
                  p.tried.size(), p.held_out, p.fit.steps, p.fit.loss)};
  notes.insert(notes.end(), p.notes.begin(), p.notes.end());
  return notes;
}

}  // namespace music
