#include "music/report/sprites.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "data/jpeg.h"
#include "engine/core/error.h"
#include "engine/io/file.h"
#include "music/report/picture.h"

namespace music {
namespace fs = std::filesystem;

SpriteSheet::SpriteSheet(int tile, std::int64_t columns, std::int64_t rows)
    : tile_(tile),
      pixels_(new_picture(sheet_, "a sheet of thumbnails", columns * tile,
                          rows * tile)) {
  std::fill_n(pixels_, sheet_.bytes(), std::uint8_t{128});
}

void SpriteSheet::put(std::int64_t column, std::int64_t row,
                      const std::uint8_t* tile) {
  const auto bytes = static_cast<std::size_t>(3 * tile_);
  for (int y = 0; y < tile_; ++y)
    std::copy_n(tile + static_cast<std::size_t>(y) * bytes, bytes,
                pixels_ + sheet_.stride() * static_cast<std::size_t>(row * tile_ + y) +
                    static_cast<std::size_t>(column) * bytes);
}

void SpriteSheet::write(const fs::path& file) const {
  FileWriter writer(file);
  const std::vector<std::uint8_t> bytes = data::encode_jpeg(sheet_, kQuality);
  writer.write(std::as_bytes(std::span(bytes)));
  writer.commit();
}

void scale_to_tile(data::Resizer& resizer, const data::Image& image,
                   const data::Box& square, int tile, std::vector<std::uint8_t>& out) {
  out.resize(static_cast<std::size_t>(3 * tile * tile) + data::Image::kSlack);
  resizer.run(image, square, tile, tile, {0, 0, tile, tile}, false,
              data::Interpolation::kBicubic, out.data());
}

Thumbnails::Thumbnails(const fs::path& folder, int tile)
    : folder_(folder), tile_(tile), sheet_(tile, kColumns, kColumns) {
  const fs::path file = folder_ / "all.tmp";
  all_ = std::fopen(file.c_str(), "w+b");
  if (!all_) throw_write_error(file, errno);
  fs::remove(file);  // gone with the process, whatever becomes of it
}

void Thumbnails::add(const std::uint8_t* tile) {
  const auto bytes = static_cast<std::size_t>(3 * tile_ * tile_);
  for (std::size_t c = 0; c < 3; ++c) {
    std::int64_t sum = 0;
    for (std::size_t i = c; i < bytes; i += 3) sum += tile[i];
    colours_.push_back(static_cast<std::uint8_t>(sum / (tile_ * tile_)));
  }
  const std::int64_t at = count_ % kPerSheet;
  sheet_.put(at % kColumns, at / kColumns, tile);
  if (std::fwrite(tile, 1, bytes, all_) != bytes)
    throw_write_error(folder_ / "all.tmp", errno);
  ++count_;
  if (count_ % kPerSheet == 0) write_sheet();
}

std::int64_t Thumbnails::finish() {
  if (count_ % kPerSheet != 0) write_sheet();
  if (std::fflush(all_) != 0) throw_write_error(folder_ / "all.tmp", errno);
  return sheets_;
}

void Thumbnails::write_sheet() {
  sheet_.write(folder_ / fmt::format("{:05}.jpg", sheets_++));
  sheet_ = SpriteSheet(tile_, kColumns, kColumns);
}

void Thumbnails::read(std::int64_t image, std::vector<std::uint8_t>& tile) {
  const auto bytes = static_cast<std::size_t>(3 * tile_ * tile_);
  tile.resize(bytes);
  if (std::fseek(all_, static_cast<long>(image) * static_cast<long>(bytes), SEEK_SET) != 0 ||
      std::fread(tile.data(), 1, bytes, all_) != bytes)
    throw error(ExitCode::kData, "[atlas] thumbnail {} of {} cannot be read back",
                image, count_);
}

}  // namespace music
