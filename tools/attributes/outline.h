#pragma once
// Outlines of the objects as signed distances: negative inside, positive
// outside, in units where the object is about 2 across. x right, y up.

#include <cmath>
#include <numbers>
#include <string_view>
#include <vector>

namespace music {

inline constexpr float kPi = std::numbers::pi_v<float>;

struct Point {
  float x = 0, y = 0;
};

// Plain where std::hypot guards against overflow, at ten times the cost.
inline float length(float x, float y) { return std::sqrt(x * x + y * y); }

class Outline {
 public:
  // shape: a value of Factor::kShape. Throws when it is none.
  explicit Outline(std::string_view shape);
  // Exact for polygons, discs and rings, a lower bound where discs intersect.
  float distance(Point p) const;

 private:
  enum class Kind { kPolygon, kDisc, kRing, kCrescent, kLeaf };
  Kind kind_ = Kind::kPolygon;
  std::vector<Point> polygon_;
};

}  // namespace music
