#include "music/loss/joint_entropy_spec.h"

#include <cmath>

#include "engine/core/error.h"

namespace music {

void check_spec(const JointEntropySpec& s, std::int64_t segments) {
  if (!(s.temperature > 0) || !std::isfinite(s.temperature))
    throw error(ExitCode::kUsage,
                "[joint_entropy] temperature {}: expected a number above 0",
                s.temperature);
  if (!(s.clamp >= 0 && s.clamp < 1))
    throw error(ExitCode::kUsage,
                "[joint_entropy] clamp {}: expected 0 <= clamp < 1", s.clamp);
  if (!std::isfinite(s.de) || !std::isfinite(s.oe) || !std::isfinite(s.ti))
    throw error(ExitCode::kUsage,
                "[joint_entropy] coefficients {}, {}, {}: expected finite "
                "numbers", s.de, s.oe, s.ti);
  if (s.blocks.empty()) return;
  if (static_cast<std::int64_t>(s.blocks.size()) != segments * segments)
    throw error(ExitCode::kUsage,
                "[joint_entropy] {} block weights: expected {} for {} segments",
                s.blocks.size(), segments * segments, segments);
  for (const double w : s.blocks)
    if (!std::isfinite(w))
      throw error(ExitCode::kUsage,
                  "[joint_entropy] block weight {}: expected a finite number",
                  w);
}

EntropyWeights entropy_weights(EntropyNorm norm, std::int64_t segments) {
  const double count = static_cast<double>(segments);
  const bool eq3 = norm == EntropyNorm::kEq3;
  EntropyWeights w;
  w.diagonal = eq3 ? 1 / (count * count) : 1 / count;
  if (segments > 1) w.off_diagonal = 1 / (count * (eq3 ? count : count - 1));
  return w;
}

}  // namespace music
