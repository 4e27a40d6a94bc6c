#include "music/detect/anchors.h"

#include <cmath>

namespace music::detect {

std::vector<Box> cell_anchors(const AnchorSpec& spec) {
  std::vector<Box> out;
  for (const double size : spec.sizes)
    for (const double ratio : spec.ratios) {
      const double w = std::sqrt(size * size / ratio), h = ratio * w;
      out.push_back({static_cast<float>(-w / 2), static_cast<float>(-h / 2),
                     static_cast<float>(w / 2), static_cast<float>(h / 2)});
    }
  return out;
}

std::vector<Box> grid_anchors(const AnchorSpec& spec, std::int64_t rows,
                              std::int64_t columns) {
  const std::vector<Box> cell = cell_anchors(spec);
  std::vector<Box> out;
  out.reserve(static_cast<std::size_t>(rows * columns) * cell.size());
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t j = 0; j < columns; ++j) {
      const float x = static_cast<float>(j) * spec.stride;
      const float y = static_cast<float>(i) * spec.stride;
      for (const Box& a : cell)
        out.push_back({a.x1 + x, a.y1 + y, a.x2 + x, a.y2 + y});
    }
  return out;
}

}  // namespace music::detect
