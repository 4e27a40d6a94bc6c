#pragma once
// A matrix as a picture: a rectangle of pixels an element, from dark blue for
// small values by red to yellow for large ones.

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "data/image.h"

namespace music {

struct HeatMapSpec {
  // What the ends of the colours stand for; values beyond are drawn as the end.
  double low = 0, high = 1;
  int cell_width = 1, cell_height = 1;  // pixels of an element
  // Columns and rows before which a white line of a pixel is put: where segments
  // begin. Ascending, each in 1..count - 1.
  std::vector<std::int64_t> column_borders = {}, row_borders = {};
};

// RGB of x in 0..1; beyond, of the end. Lightness grows with x throughout.
std::array<std::uint8_t, 3> heat_colour(double x);

// values: rows of `columns` elements, at least one; NaN is drawn grey. Throws
// kUsage for a picture of more than 32767 pixels a side.
data::Image heat_map(std::span<const float> values, std::int64_t columns,
                     const HeatMapSpec& spec);

// A tenth of the largest value: where the paper's appendix clips P. 1 where no
// value is above 0.
double tenth_of_largest(std::span<const float> values);

}  // namespace music
