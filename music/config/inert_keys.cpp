#include "music/config/inert_keys.h"

#include <fmt/format.h>

#include "engine/core/error.h"
#include "music/method/music.h"
#include "music/method/supervised.h"

namespace music {
namespace {

struct Rule {
  const char* key;
  const char* by;  // which setting puts it out of effect
  bool (*inert)(const Config&);
  const char* reason;
};

template <typename M>
const typename M::Settings* settings_of(const Config& c) {
  return c.method.name == M::kName ? &c.method.of<M>() : nullptr;
}

bool has_segments(const Config& c) {
  const auto* s = settings_of<Music>(c);
  return s && !s->segments.empty();
}
bool has_rates(const Config& c) {
  const auto* s = settings_of<Supervised>(c);
  return s && !s->rates.empty();
}
bool has_decays(const Config& c) {
  const auto* s = settings_of<Supervised>(c);
  return s && !s->decays.empty();
}
bool never_scored(const Config& c) { return c.train.knn_every == 0; }
// Methods that learn from labels have a classifier to score.
bool never_tested(const Config& c) {
  return c.train.knn_every == 0 && !needs_of(c.method).labels;
}
bool is_sgd(const Config& c) {
  return c.optim.optimizer.kind == OptimizerKind::kSgd;
}
bool no_steps(const Config& c) {
  return c.optim.schedule.kind != ScheduleKind::kSteps;
}

constexpr Rule kRules[] = {
    {"loss.segment", "loss.segments", has_segments,
     "the sizes are those of loss.segments"},
    {"optim.base_lr", "supervised.rates", has_rates,
     "the rates are those of supervised.rates"},
    {"optim.weight_decay", "supervised.decays", has_decays,
     "the weight decays are those of supervised.decays"},
    {"data.eval_train", "train.knn_every", never_scored,
     "nothing votes without train.knn_every (--knn-every 1)"},
    {"data.eval_test", "train.knn_every", never_tested,
     "nothing is scored without train.knn_every (--knn-every 1)"},
    {"optim.eta", "optim.kind", is_sgd, "it is of optim.kind \"lars\""},
    {"optim.factor", "optim.schedule", no_steps,
     "it is of optim.schedule \"steps\""},
};

}  // namespace

void refuse_inert_keys(const ResolvedConfig& config, const WrittenKeys& written) {
  for (const Rule& rule : kRules) {
    const auto key = written.find(rule.key);
    if (key == written.end() || !rule.inert(config.value)) continue;
    const auto by = written.find(rule.by);
    if (by != written.end() && by->second > key->second) continue;
    throw error(ExitCode::kUsage,
                "[config] {} ({}) would have no effect: {}; expected one or the "
                "other", rule.key, config.origins.at(rule.key), rule.reason);
  }
}

}  // namespace music
