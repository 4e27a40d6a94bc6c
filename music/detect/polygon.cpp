#include "music/detect/polygon.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <vector>

#include "engine/core/error.h"

namespace music::detect {
namespace {

constexpr int kScale = 5;  // lattice steps a pixel

struct Lattice {
  int x, y;
};

// Calls fn(point) along the edge from a to b, both included: the longer axis
// in single steps, the other rounded half up (toward zero below zero), always
// reckoned from the low end so that both directions give the same points.
template <typename F>
void walk_edge(Lattice a, Lattice b, F&& fn) {
  const int dx = std::abs(b.x - a.x), dy = std::abs(b.y - a.y);
  const bool along_x = dx >= dy;
  const bool backwards = along_x ? a.x > b.x : a.y > b.y;
  if (backwards) std::swap(a, b);
  const int steps = std::max(dx, dy);
  const int rise = along_x ? b.y - a.y : b.x - a.x;
  const double slope =
      steps > 0 ? static_cast<double>(rise) / static_cast<double>(steps) : 0;
  for (int i = 0; i <= steps; ++i) {
    const int t = backwards ? steps - i : i;
    const int other =
        static_cast<int>((along_x ? a.y : a.x) + slope * t + 0.5);
    fn(along_x ? Lattice{a.x + t, other} : Lattice{other, a.y + t});
  }
}

}  // namespace

Rle rle_from_polygon(std::span<const double> points, std::uint32_t height,
                     std::uint32_t width) {
  MUSIC_CHECK(points.size() >= 2 && points.size() % 2 == 0,
              "[polygon] {} numbers, expected pairs", points.size());
  std::vector<Lattice> corners;
  for (std::size_t i = 0; i < points.size(); i += 2)
    corners.push_back({static_cast<int>(kScale * points[i] + 0.5),
                       static_cast<int>(kScale * points[i + 1] + 0.5)});
  corners.push_back(corners[0]);

  // Where the outline passes a column of centres, as an index of pixels.
  std::vector<std::uint32_t> crossings;
  const int w = static_cast<int>(width), h = static_cast<int>(height);
  bool first = true;
  Lattice before{};
  const auto visit = [&](Lattice p) {
    const int x = std::min(before.x, p.x), y = std::min(before.y, p.y);
    const bool moved = !first && p.x != before.x;
    first = false;
    before = p;
    if (!moved || x < kScale / 2 || (x - kScale / 2) % kScale != 0) return;
    const int column = (x - kScale / 2) / kScale;
    if (column >= w) return;
    const double row = std::ceil((y + 0.5) / kScale - 0.5);
    crossings.push_back(static_cast<std::uint32_t>(column) * height +
                        static_cast<std::uint32_t>(std::clamp(
                            row, 0.0, static_cast<double>(h))));
  };
  for (std::size_t i = 0; i + 1 < corners.size(); ++i)
    walk_edge(corners[i], corners[i + 1], visit);

  crossings.push_back(height * width);
  std::sort(crossings.begin(), crossings.end());
  // Differences; one of 0 joins the runs before and after it.
  Rle mask{height, width, {}};
  std::uint32_t last = 0;
  bool join = false;
  for (const std::uint32_t at : crossings) {
    const std::uint32_t run = at - last;
    last = at;
    if (join) {
      mask.counts.back() += run;
      join = false;
    } else if (run > 0 || mask.counts.empty()) {
      mask.counts.push_back(run);
    } else {
      join = true;
    }
  }
  return mask;
}

}  // namespace music::detect
