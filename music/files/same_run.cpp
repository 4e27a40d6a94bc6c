#include "music/files/same_run.h"

#include <fmt/ranges.h>

#include "engine/core/counted.h"
#include "engine/core/error.h"

namespace music {

std::optional<std::int64_t> require_same_run(const std::string& from,
                                             const Config& to, bool extend,
                                             const std::filesystem::path& run,
                                             const std::string& who) {
  const std::vector<std::string> changed = differences(from, to);
  if (changed.empty()) return std::nullopt;
  const auto before = other_epochs(from, to);
  const std::int64_t now = to.train.epochs;
  if (before && *before < now) {
    if (extend) return before;
    throw error(ExitCode::kUsage,
                "[run] {} another configuration (train.epochs {} -> {}); "
                "expected the same, --extend to go on to {} (at the "
                "learning rate that a run of {} has from there on), or --weights "
                "{} with a new --out to start from its weights",
                who, *before, now, counted(now, "epoch"), now,
                (run / "encoder.safetensors").string());
  }
  throw error(ExitCode::kUsage,
              "[run] {} another configuration ({}); expected {}, or a new --out",
              who, fmt::join(changed, ", "),
              !extend  ? "the same"
              : before ? "more epochs to extend it to"
                       : "--extend with more epochs and no other change");
}

}  // namespace music
