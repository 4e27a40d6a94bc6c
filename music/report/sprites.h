#pragma once
// Small pictures of many images, as few files: sheets of tiles in rows, JPEG.

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <vector>

#include "data/image.h"
#include "data/resize.h"

namespace music {

// A sheet of columns x rows square tiles, grey where none was put.
class SpriteSheet {
 public:
  static constexpr int kQuality = 88;

  // Throws kUsage for a sheet of more than 32767 pixels a side.
  SpriteSheet(int tile, std::int64_t columns, std::int64_t rows);

  void put(std::int64_t column, std::int64_t row, const std::uint8_t* tile);
  void write(const std::filesystem::path& file) const;

 private:
  int tile_;
  data::Image sheet_;
  std::uint8_t* pixels_;
};

// A square of an image, scaled to a tile.
void scale_to_tile(data::Resizer& resizer, const data::Image& image,
                   const data::Box& square, int tile, std::vector<std::uint8_t>& out);

// The thumbnails of a data set, image after image: sheets of kColumns x kColumns
// as FOLDER/00000.jpg and so on, and all of them for a second look in a file
// without a name, which takes 3 tile^2 bytes an image on the disk of FOLDER.
class Thumbnails {
 public:
  static constexpr int kColumns = 16, kPerSheet = kColumns * kColumns;

  Thumbnails(const std::filesystem::path& folder, int tile);

  // The next image's tile.
  void add(const std::uint8_t* tile);
  // The last sheet. Returns how many there are.
  std::int64_t finish();

  int tile() const { return tile_; }
  std::int64_t count() const { return count_; }
  // RGB mean of each: what stands in its place until the sheet is there.
  const std::vector<std::uint8_t>& colours() const { return colours_; }
  // The tile of an image that was added.
  void read(std::int64_t image, std::vector<std::uint8_t>& tile);

 private:
  void write_sheet();

  std::filesystem::path folder_;
  int tile_;
  std::int64_t count_ = 0, sheets_ = 0;
  std::vector<std::uint8_t> colours_;
  SpriteSheet sheet_;
  std::FILE* all_ = nullptr;
  struct Close {
    std::FILE*& file;
    ~Close() { if (file) std::fclose(file); }
  } close_{all_};
};

}  // namespace music
