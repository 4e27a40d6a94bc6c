#include "tools/attributes/outline.h"

#include <algorithm>
#include <cmath>

#include "engine/core/error.h"

namespace music {
namespace {

float circle(Point p, float x, float y, float radius) {
  return length(p.x - x, p.y - y) - radius;
}

// Corners alternate between the two radii; first corner up.
std::vector<Point> spiky(int corners, float outer, float inner) {
  std::vector<Point> points;
  for (int i = 0; i < corners; ++i) {
    const float angle = kPi / 2 + 2 * kPi * static_cast<float>(i) /
                                      static_cast<float>(corners);
    const float radius = i % 2 == 0 ? outer : inner;
    points.push_back({radius * std::cos(angle), radius * std::sin(angle)});
  }
  return points;
}

std::vector<Point> heart() {
  std::vector<Point> points;
  for (int i = 0; i < 28; ++i) {
    const float t = 2 * kPi * static_cast<float>(i) / 28;
    const float s = std::sin(t);
    const float y = 13 * std::cos(t) - 5 * std::cos(2 * t) -
                    2 * std::cos(3 * t) - std::cos(4 * t);
    points.push_back({16 * s * s * s / 16.5f, (y + 2.5f) / 16.5f});
  }
  return points;
}

float polygon_distance(const std::vector<Point>& polygon, Point p) {
  float squared = 1e9f;
  bool inside = false;
  for (std::size_t i = 0, j = polygon.size() - 1; i < polygon.size(); j = i++) {
    const Point a = polygon[i], b = polygon[j];
    const float ex = b.x - a.x, ey = b.y - a.y;
    const float px = p.x - a.x, py = p.y - a.y;
    const float t =
        std::clamp((px * ex + py * ey) / (ex * ex + ey * ey), 0.f, 1.f);
    const float dx = px - t * ex, dy = py - t * ey;
    squared = std::min(squared, dx * dx + dy * dy);
    // Even-odd rule: count the edges crossed by the ray to the right of p.
    if ((a.y > p.y) != (b.y > p.y) && px < ex * py / ey) inside = !inside;
  }
  const float distance = std::sqrt(squared);
  return inside ? -distance : distance;
}

}  // namespace

Outline::Outline(std::string_view shape) {
  // Sizes give every shape about the same area.
  if (shape == "disc") {
    kind_ = Kind::kDisc;
  } else if (shape == "ring") {
    kind_ = Kind::kRing;
  } else if (shape == "crescent") {
    kind_ = Kind::kCrescent;
  } else if (shape == "leaf") {
    kind_ = Kind::kLeaf;
  } else if (shape == "heart") {
    polygon_ = heart();
  } else if (shape == "triangle") {
    polygon_ = {{0, 0.98f}, {-1, -0.72f}, {1, -0.72f}};
  } else if (shape == "square") {
    polygon_ = {{-.72f, -.72f}, {.72f, -.72f}, {.72f, .72f}, {-.72f, .72f}};
  } else if (shape == "star") {
    polygon_ = spiky(10, 1.1f, 0.5f);
  } else if (shape == "cross") {
    const float a = 0.98f, w = 0.32f;
    polygon_ = {{w, a},  {-w, a},  {-w, w},  {-a, w},  {-a, -w}, {-w, -w},
                {-w, -a}, {w, -a}, {w, -w}, {a, -w}, {a, w},   {w, w}};
  } else if (shape == "arrow") {
    polygon_ = {{0, 1.05f},    {-.92f, .05f}, {-.36f, .05f}, {-.36f, -.98f},
                {.36f, -.98f}, {.36f, .05f},  {.92f, .05f}};
  } else {
    throw error(ExitCode::kInternal, "[attributes] no shape '{}'", shape);
  }
}

float Outline::distance(Point p) const {
  switch (kind_) {
    case Kind::kPolygon: return polygon_distance(polygon_, p);
    case Kind::kDisc: return circle(p, 0, 0, 0.8f);
    case Kind::kRing: return std::abs(circle(p, 0, 0, 0.74f)) - 0.23f;
    case Kind::kCrescent:
      return std::max(circle(p, 0.05f, 0, 1),
                      -circle(p, 0.52f, 0.18f, 0.74f));
    case Kind::kLeaf:
      return std::max(circle(p, 0.72f, 0, 1.28f), circle(p, -0.72f, 0, 1.28f));
  }
  return 0;
}

}  // namespace music
