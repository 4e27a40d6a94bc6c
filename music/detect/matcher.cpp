#include "music/detect/matcher.h"

#include <algorithm>

#include "engine/core/error.h"

namespace music::detect {

std::vector<Match> match_boxes(std::span<const float> iou, std::size_t truths,
                               std::size_t candidates,
                               const MatcherSpec& spec) {
  MUSIC_CHECK(iou.size() == truths * candidates,
              "[matcher] {} overlaps, expected {} x {}", iou.size(), truths,
              candidates);
  std::vector<Match> out(candidates);
  if (truths == 0) return out;
  for (std::size_t c = 0; c < candidates; ++c) {
    float best = iou[c];
    for (std::size_t t = 1; t < truths; ++t)
      if (iou[t * candidates + c] > best) {
        best = iou[t * candidates + c];
        out[c].truth = static_cast<std::int32_t>(t);
      }
    out[c].label = best >= spec.high  ? MatchLabel::kForeground
                   : best >= spec.low ? MatchLabel::kIgnored
                                      : MatchLabel::kBackground;
  }
  if (!spec.keep_best || candidates == 0) return out;
  for (std::size_t t = 0; t < truths; ++t) {
    const auto row = iou.subspan(t * candidates, candidates);
    const float best = *std::max_element(row.begin(), row.end());
    for (std::size_t c = 0; c < candidates; ++c)
      if (row[c] == best) out[c].label = MatchLabel::kForeground;
  }
  return out;
}

}  // namespace music::detect
