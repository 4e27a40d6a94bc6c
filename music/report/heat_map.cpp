#include "music/report/heat_map.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/core/error.h"
#include "music/report/picture.h"

namespace music {
namespace {

constexpr std::array<std::uint8_t, 3> kNoValue{128, 128, 128}, kBorder{255, 255, 255};

// Equally spaced; straight lines between. Relative luminance grows from each to
// the next.
constexpr std::array<std::array<double, 3>, 7> kColours{{
    {16, 12, 112}, {88, 8, 152}, {152, 28, 152}, {204, 68, 116},
    {238, 116, 74}, {252, 176, 48}, {248, 244, 56}}};

// Where each element begins on one axis, and the end: borders take a pixel.
std::vector<std::int64_t> places(std::int64_t count, int cell,
                                 const std::vector<std::int64_t>& borders) {
  std::vector<std::int64_t> begin;
  auto border = borders.begin();
  std::int64_t at = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    if (border != borders.end() && *border == i) ++at, ++border;
    begin.push_back(at);
    at += cell;
  }
  MUSIC_CHECK(border == borders.end(),
              "[heat_map] a border before element {} of {}", *border, count);
  begin.push_back(at);
  return begin;
}

}  // namespace

std::array<std::uint8_t, 3> heat_colour(double x) {
  constexpr int last = static_cast<int>(kColours.size()) - 1;
  const double place = std::clamp(x, 0.0, 1.0) * last;
  const int i = std::min(static_cast<int>(place), last - 1);
  const auto &from = kColours[static_cast<std::size_t>(i)],
             &to = kColours[static_cast<std::size_t>(i + 1)];
  std::array<std::uint8_t, 3> rgb;
  for (std::size_t c = 0; c < 3; ++c)
    rgb[c] = static_cast<std::uint8_t>(
        std::lround(from[c] + (to[c] - from[c]) * (place - i)));
  return rgb;
}

data::Image heat_map(std::span<const float> values, std::int64_t columns,
                     const HeatMapSpec& spec) {
  MUSIC_CHECK(columns >= 1 && !values.empty() && std::ssize(values) % columns == 0,
              "[heat_map] {} values in {} columns", values.size(), columns);
  MUSIC_CHECK(spec.cell_width >= 1 && spec.cell_height >= 1 &&
                  spec.high > spec.low,
              "[heat_map] cells of {} x {} for {} to {}", spec.cell_width,
              spec.cell_height, spec.low, spec.high);
  const std::int64_t rows = std::ssize(values) / columns;
  const auto x = places(columns, spec.cell_width, spec.column_borders);
  const auto y = places(rows, spec.cell_height, spec.row_borders);
  data::Image image;
  std::uint8_t* pixels = new_picture(image, "a heat map", x.back(), y.back());
  std::memset(pixels, kBorder[0], image.bytes());
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::int64_t top = y[static_cast<std::size_t>(r)];
    std::uint8_t* line = pixels + image.stride() * static_cast<std::size_t>(top);
    for (std::int64_t c = 0; c < columns; ++c) {
      const auto value =
          static_cast<double>(values[static_cast<std::size_t>(r * columns + c)]);
      const auto rgb = std::isnan(value)
                           ? kNoValue
                           : heat_colour((value - spec.low) / (spec.high - spec.low));
      std::uint8_t* to = line + 3 * x[static_cast<std::size_t>(c)];
      for (int i = 0; i < spec.cell_width; ++i)
        to = std::copy(rgb.begin(), rgb.end(), to);
    }
    for (int i = 1; i < spec.cell_height; ++i)
      std::memcpy(line + image.stride() * static_cast<std::size_t>(i), line,
                  image.stride());
  }
  return image;
}

double tenth_of_largest(std::span<const float> values) {
  float largest = 0;
  for (const float v : values) largest = std::max(largest, v);
  return largest > 0 ? static_cast<double>(largest) / 10 : 1;
}

}  // namespace music
