#pragma once
// A contact sheet: entries in rows on grey, each of one or more tiles side by
// side.

#include <cstdint>
#include <utility>
#include <vector>

#include "data/image.h"
#include "data/resize.h"

namespace music {

struct ContactSheetSpec {
  std::vector<int> tiles;  // widths of the tiles of an entry
  int height = 0;          // of every tile
  int columns = 1;         // entries side by side
};

class ContactSheet {
 public:
  // entries: at least one. Throws kUsage for a sheet of more than 32767 pixels a
  // side.
  ContactSheet(std::int64_t entries, const ContactSheetSpec& spec);

  // Pixels of width x height, at most the tile's, in its middle.
  void put(std::int64_t entry, int tile, const std::uint8_t* rgb, int width,
           int height);
  void put(std::int64_t entry, int tile, const data::Image& image) {
    put(entry, tile, image.data(), image.width(), image.height());
  }
  // The whole of an image, scaled up or down to fit the tile.
  void put_whole(std::int64_t entry, int tile, const data::Image& image);

  const data::Image& image() const { return sheet_; }
  // The sheet itself; the last call.
  data::Image take() { return std::move(sheet_); }

 private:
  int entry_width() const;

  ContactSheetSpec spec_;
  data::Image sheet_;
  std::uint8_t* pixels_;
  data::Resizer resizer_;
};

// The largest size of the image's aspect within width x height, at least 1 x 1.
struct FittedSize {
  int width, height;
};
FittedSize fit(const data::Image& image, int width, int height);

}  // namespace music
