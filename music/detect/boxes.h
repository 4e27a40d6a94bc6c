#pragma once
// Boxes by their corners, in float32 and without a pixel added to any side.

#include <span>
#include <vector>

namespace music::detect {

struct Box {
  float x1 = 0, y1 = 0, x2 = 0, y2 = 0;

  float width() const { return x2 - x1; }
  float height() const { return y2 - y1; }
  float area() const { return width() * height(); }
  bool operator==(const Box&) const = default;
};

// Intersection over union; 0 where nothing intersects.
float iou(const Box& a, const Box& b);

// [a, b], row by row.
std::vector<float> pairwise_iou(std::span<const Box> a, std::span<const Box> b);

// With corners moved into [0, width] x [0, height].
Box clip(const Box& box, float height, float width);

}  // namespace music::detect
