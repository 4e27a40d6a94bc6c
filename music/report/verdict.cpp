#include "music/report/verdict.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "engine/core/counted.h"

namespace music {
namespace {

Verdict::Level level_of(std::string_view health) {
  const auto begins = [&](std::string_view word) {
    return health.starts_with(word);
  };
  if (health.empty()) return Verdict::Level::kUnknown;
  if (begins("healthy")) return Verdict::Level::kGood;
  if (begins("collapsed") || begins("diverged")) return Verdict::Level::kBad;
  return Verdict::Level::kFair;
}

std::string state_of(const RunSummary& run) {
  const Curves& c = run.metrics.curves;
  const std::int64_t steps = c.last_step() + 1;
  if (steps == 0)
    return run.has_encoder ? "an encoder is there, and no step is recorded"
                           : "no step is recorded";
  const std::int64_t total = run.total_steps;
  if (run.has_encoder && steps >= total)
    return fmt::format(
        "finished: {}, {}",
        counted(run.epochs > 0 ? run.epochs : c.last_epoch() + 1, "epoch"),
        counted(steps, "step"));
  std::string out =
      total > 0 ? fmt::format("at step {} of {} ({:.0f} %)", steps, total,
                              100.0 * static_cast<double>(steps) /
                                  static_cast<double>(total))
                : fmt::format("at step {}", steps);
  return out + (run.has_encoder ? ", with the encoder of fewer epochs"
                                : ": stopped, or still running");
}

double last(const RunSummary& run, const char* name) {
  const Curve* curve = run.metrics.curves.find(name);
  return curve && std::isfinite(curve->last) ? curve->last : 0;
}

}  // namespace

Verdict judge(const RunSummary& run) {
  Verdict v{.health = run.health, .state = state_of(run)};
  const Curves& c = run.metrics.curves;
  const Curve* loss = c.find("loss");
  const Curve* usage = c.find("usage_entropy");
  constexpr double kCollapsed = 0.5;  // as music/method/health.cpp has it
  if (loss && !std::isfinite(loss->last))
    v.health = "diverged: the loss is not finite";
  else if (v.health.empty() && usage && usage->last_epoch.count > 0 &&
           usage->last_epoch.mean() < kCollapsed)
    v.health = fmt::format("collapsed: segments use {:.0f} % of their range",
                           100 * usage->last_epoch.mean());
  v.level = level_of(v.health);
  if (v.health.empty()) v.health = "no verdict: the log has none";
  if (loss && loss->missing > 0)
    v.remarks.push_back(counted(loss->missing, "step") +
                        " without a finite loss");
  if (const double n = last(run, "skipped_steps"); n > 0)
    v.remarks.push_back(counted(std::llround(n), "step") + " skipped");
  if (run.quarantined > 0)
    v.remarks.push_back(counted(run.quarantined, "image") +
                        " could not be read");
  for (const std::string& e : run.extended)
    v.remarks.push_back("extended: it was to have " + e);
  return v;
}

}  // namespace music
