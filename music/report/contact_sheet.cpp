#include "music/report/contact_sheet.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "engine/core/error.h"
#include "music/report/picture.h"

namespace music {
namespace {

constexpr int kTileGap = 4, kEntryGap = 8;
constexpr int kGrey = 96;

}  // namespace

int ContactSheet::entry_width() const {
  const auto gaps = kTileGap * static_cast<int>(spec_.tiles.size());
  return std::accumulate(spec_.tiles.begin(), spec_.tiles.end(), gaps);
}

ContactSheet::ContactSheet(std::int64_t entries, const ContactSheetSpec& spec)
    : spec_(spec) {
  MUSIC_CHECK(entries >= 1 && !spec.tiles.empty() && spec.columns >= 1 &&
                  spec.height >= 1 && std::ranges::min(spec.tiles) >= 1,
              "[contact_sheet] {} entries of {} tiles in {} columns", entries,
              spec.tiles.size(), spec.columns);
  const std::int64_t rows = (entries + spec.columns - 1) / spec.columns;
  const std::int64_t width =
      std::int64_t{spec.columns} * (entry_width() + kEntryGap) + kEntryGap;
  const std::int64_t height = rows * (spec.height + kEntryGap) + kEntryGap;
  pixels_ = new_picture(sheet_, "a contact sheet", width, height);
  std::memset(pixels_, kGrey, sheet_.bytes());
}

void ContactSheet::put(std::int64_t entry, int tile, const std::uint8_t* rgb,
                       int width, int height) {
  const auto before = spec_.tiles.begin() + tile;
  MUSIC_CHECK(width <= *before && height <= spec_.height,
              "[contact_sheet] {} x {} pixels in a tile of {} x {}", width, height,
              *before, spec_.height);
  const auto column = static_cast<int>(entry % spec_.columns);
  const auto row = static_cast<int>(entry / spec_.columns);
  const int x = kEntryGap + column * (entry_width() + kEntryGap) +
                std::accumulate(spec_.tiles.begin(), before, tile * kTileGap) +
                (*before - width) / 2;
  const int y = kEntryGap + row * (spec_.height + kEntryGap) +
                (spec_.height - height) / 2;
  const std::size_t bytes = std::size_t{3} * static_cast<std::size_t>(width);
  std::uint8_t* to = pixels_ + sheet_.stride() * static_cast<std::size_t>(y) +
                     std::size_t{3} * static_cast<std::size_t>(x);
  for (int line = 0; line < height; ++line) {
    std::memcpy(to, rgb, bytes);
    to += sheet_.stride();
    rgb += bytes;
  }
}

FittedSize fit(const data::Image& image, int width, int height) {
  // The side that touches first.
  const bool wide = std::int64_t{image.width()} * height >=
                    std::int64_t{image.height()} * width;
  const auto scaled = [&](int side) {
    return std::max(1, static_cast<int>(
                           std::int64_t{side} * (wide ? width : height) /
                           (wide ? image.width() : image.height())));
  };
  return {scaled(image.width()), scaled(image.height())};
}

void ContactSheet::put_whole(std::int64_t entry, int tile,
                             const data::Image& image) {
  const auto [width, height] =
      fit(image, spec_.tiles[static_cast<std::size_t>(tile)], spec_.height);
  std::vector<std::uint8_t> small(std::size_t{3} * static_cast<std::size_t>(width) *
                                  static_cast<std::size_t>(height));
  resizer_.run(image, {0, 0, image.width(), image.height()}, width, height,
               {0, 0, width, height}, false, data::Interpolation::kBicubic,
               small.data());
  put(entry, tile, small.data(), width, height);
}

}  // namespace music
