#include "music/detect/boxes.h"

#include <omp.h>

#include <algorithm>

namespace music::detect {

float iou(const Box& a, const Box& b) {
  const float w = std::max(0.0f, std::min(a.x2, b.x2) - std::max(a.x1, b.x1));
  const float h = std::max(0.0f, std::min(a.y2, b.y2) - std::max(a.y1, b.y1));
  const float both = w * h;
  return both > 0 ? both / (a.area() + b.area() - both) : 0;
}

std::vector<float> pairwise_iou(std::span<const Box> a,
                                std::span<const Box> b) {
  std::vector<float> out(a.size() * b.size());
#pragma omp parallel for schedule(static) if (out.size() > 65536)
  for (std::size_t i = 0; i < a.size(); ++i)
    for (std::size_t j = 0; j < b.size(); ++j)
      out[i * b.size() + j] = iou(a[i], b[j]);
  return out;
}

Box clip(const Box& b, float height, float width) {
  return {std::clamp(b.x1, 0.0f, width), std::clamp(b.y1, 0.0f, height),
          std::clamp(b.x2, 0.0f, width), std::clamp(b.y2, 0.0f, height)};
}

}  // namespace music::detect
