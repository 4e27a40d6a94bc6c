#pragma once
// Polygons as masks, by COCO's rule: edges are drawn on a lattice of a fifth of
// a pixel, and in each column of pixel centres the crossings of one polygon
// with it open and close runs (even-odd).

#include <cstdint>
#include <span>

#include "music/detect/rle.h"

namespace music::detect {

// The farthest coordinate: drawing takes five steps a pixel.
inline constexpr double kMaxCoordinate = 1e5;

// points: x, y, x, y, ... of at least one corner, closed by itself; finite and
// not beyond kMaxCoordinate (checked by the caller).
Rle rle_from_polygon(std::span<const double> points, std::uint32_t height,
                     std::uint32_t width);

}  // namespace music::detect
