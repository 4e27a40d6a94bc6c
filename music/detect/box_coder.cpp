#include "music/detect/box_coder.h"

#include <algorithm>
#include <cmath>

namespace music::detect {

Deltas encode(const Box& from, const Box& target, const CoderWeights& k) {
  const float w = from.width(), h = from.height();
  const float cx = from.x1 + 0.5f * w, cy = from.y1 + 0.5f * h;
  const float tw = target.width(), th = target.height();
  return {k.x * (target.x1 + 0.5f * tw - cx) / w,
          k.y * (target.y1 + 0.5f * th - cy) / h, k.w * std::log(tw / w),
          k.h * std::log(th / h)};
}

Box decode(const Box& from, const Deltas& d, const CoderWeights& k) {
  const float w = from.width(), h = from.height();
  const float cx = d.dx / k.x * w + (from.x1 + 0.5f * w);
  const float cy = d.dy / k.y * h + (from.y1 + 0.5f * h);
  const float half_w = 0.5f * (std::exp(std::min(d.dw / k.w, kMaxLogGrowth)) * w);
  const float half_h = 0.5f * (std::exp(std::min(d.dh / k.h, kMaxLogGrowth)) * h);
  return {cx - half_w, cy - half_h, cx + half_w, cy + half_h};
}

}  // namespace music::detect
