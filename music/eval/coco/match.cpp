#include "music/eval/coco/match.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace music::coco {

double box_iou(const Box& d, const Box& t, bool crowd) {
  const double w = std::min(d[2] + d[0], t[2] + t[0]) - std::max(d[0], t[0]);
  const double h = std::min(d[3] + d[1], t[3] + t[1]) - std::max(d[1], t[1]);
  if (w <= 0 || h <= 0) return 0;
  const double both = w * h, own = d[2] * d[3];
  return both / (crowd ? own : own + t[2] * t[3] - both);
}

void match(std::span<const double> areas, std::span<const Truth> truths,
           std::span<const double> ious, const AreaRange& range,
           std::span<Marks> marks) {
  std::vector<std::size_t> order(truths.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::vector<char> ignored(truths.size());
  for (std::size_t g = 0; g < truths.size(); ++g)
    ignored[g] = truths[g].crowd || !range.holds(truths[g].area);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return ignored[a] < ignored[b];
  });
  std::vector<char> taken(truths.size());
  std::fill(marks.begin(), marks.end(), Marks{});
  for (std::size_t t = 0; t < kThresholds; ++t) {
    const auto bit = static_cast<std::uint16_t>(1u << t);
    std::fill(taken.begin(), taken.end(), char{0});
    for (std::size_t d = 0; d < areas.size(); ++d) {
      double best = std::min(kIouThresholds[t], 1 - 1e-10);
      const std::size_t none = truths.size();
      std::size_t found = none;
      for (const std::size_t g : order) {
        if (taken[g] && !truths[g].crowd) continue;
        // One that counts was found: what follows does not.
        if (found != none && !ignored[found] && ignored[g]) break;
        const double iou = ious[d * truths.size() + g];
        if (iou < best) continue;
        best = iou;
        found = g;
      }
      const bool matched = found != none && truths[found].counts;
      if (found != none) {
        taken[found] = 1;
        if (ignored[found]) marks[d].ignored |= bit;
      }
      if (matched) marks[d].matched |= bit;
      else if (!range.holds(areas[d])) marks[d].ignored |= bit;
    }
  }
}

}  // namespace music::coco
