#pragma once
// Which ground truth a candidate (anchor, proposal) stands for.

#include <cstdint>
#include <span>
#include <vector>

namespace music::detect {

enum class MatchLabel : std::int8_t { kIgnored = -1, kBackground = 0, kForeground = 1 };

struct MatcherSpec {
  float low = 0.5f, high = 0.5f;  // background below, foreground from here on
  // Each ground truth's best candidates, all that tie, are foreground too.
  bool keep_best = false;
};
// Of anchors, and of proposals for the heads.
inline constexpr MatcherSpec kAnchorMatcher{0.3f, 0.7f, true};
inline constexpr MatcherSpec kProposalMatcher{0.5f, 0.5f, false};

struct Match {
  std::int32_t truth = 0;  // of the highest overlap, the first of equal ones
  MatchLabel label = MatchLabel::kBackground;
};

// iou: [truths, candidates], of pairwise_iou. Without ground truth all is
// background of truth 0. A candidate that keep_best made foreground keeps its
// own best truth, which may be another; a truth that nothing overlaps makes all
// foreground, as in detectron2.
std::vector<Match> match_boxes(std::span<const float> iou, std::size_t truths,
                               std::size_t candidates, const MatcherSpec& spec);

}  // namespace music::detect
