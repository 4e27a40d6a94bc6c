#include "music/eval/coco/mask.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "engine/core/error.h"
#include "music/detect/polygon.h"

namespace music::coco {
namespace {

using detect::Rle;

void check_size(const Segmentation& s, std::uint32_t height,
                std::uint32_t width) {
  if (s.size[0] != height || s.size[1] != width)
    throw error(ExitCode::kData,
                "mask of {} x {}, expected that of the image, {} x {} (height, "
                "width)", s.size[0], s.size[1], height, width);
}

Rle from_polygons(const Segmentation& s, std::uint32_t height,
                  std::uint32_t width) {
  for (const double v : s.points)
    if (std::abs(v) > detect::kMaxCoordinate)
      throw error(ExitCode::kData, "polygon with the coordinate {}, expected "
                  "at most {}", v, detect::kMaxCoordinate);
  const bool boxes = s.ends[0] == 4;
  std::vector<Rle> parts;
  std::size_t begin = 0;
  for (const std::size_t end : s.ends) {
    const auto numbers =
        std::span(s.points).subspan(begin, end - begin);
    begin = end;
    if (boxes ? numbers.size() != 4
              : numbers.size() % 2 != 0 || numbers.size() < 2 ||
                    (end == s.ends[0] && numbers.size() < 6))
      throw error(ExitCode::kData, "polygon of {} numbers, expected {}",
                  numbers.size(), boxes ? "4, a box like the first"
                                        : "pairs, at least 3 of them");
    if (!boxes) {
      parts.push_back(detect::rle_from_polygon(numbers, height, width));
      continue;
    }
    const double x = numbers[0], y = numbers[1];
    const double right = x + numbers[2], bottom = y + numbers[3];
    const double corners[] = {x, y, x, bottom, right, bottom, right, y};
    parts.push_back(detect::rle_from_polygon(corners, height, width));
  }
  return detect::rle_merge(parts);
}

}  // namespace

Rle to_rle(const Segmentation& s, std::uint32_t height, std::uint32_t width) {
  if (s.form == Segmentation::Form::kPolygons)
    return from_polygons(s, height, width);
  check_size(s, height, width);
  if (s.form == Segmentation::Form::kText)
    return detect::rle_from_text(s.text, height, width);
  Rle mask{height, width, {}};
  for (const double v : s.counts) {
    if (v != std::floor(v) || v < 0 || v > 4294967295.0)
      throw error(ExitCode::kData, "run length {}, expected an integer from 0",
                  v);
    mask.counts.push_back(static_cast<std::uint32_t>(v));
  }
  detect::check_counts(mask);
  return mask;
}

}  // namespace music::coco
