#include "data/decode.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "data/jpeg.h"
#include "data/png.h"
#include "engine/core/error.h"

namespace music::data {
namespace {

using namespace std::string_view_literals;

bool starts_with(std::span<const std::uint8_t> bytes, std::string_view magic) {
  return bytes.size() >= magic.size() &&
         std::equal(magic.begin(), magic.end(), bytes.begin(),
                    [](char a, std::uint8_t b) {
                      return static_cast<std::uint8_t>(a) == b;
                    });
}

// What a file that is neither looks like, for the error.
std::string_view guess(std::span<const std::uint8_t> bytes) {
  constexpr std::array<std::array<std::string_view, 2>, 8> kKnown{{
      {"GIF8"sv, " (a GIF)"sv}, {"BM"sv, " (a BMP)"sv},
      {"RIFF"sv, " (a WebP or other RIFF)"sv}, {"II*\0"sv, " (a TIFF)"sv},
      {"MM\0*"sv, " (a TIFF)"sv}, {"P5"sv, " (a PGM)"sv},
      {"P6"sv, " (a PPM)"sv}, {"<"sv, " (HTML or XML)"sv}}};
  for (const auto& [magic, text] : kKnown)
    if (starts_with(bytes, magic)) return text;
  return "";
}

}  // namespace

ImageKind image_kind(std::span<const std::uint8_t> bytes) {
  if (starts_with(bytes, "\xFF\xD8\xFF"sv)) return ImageKind::kJpeg;
  if (starts_with(bytes, "\x89PNG\r\n\x1A\n"sv)) return ImageKind::kPng;
  return ImageKind::kUnknown;
}

void decode_image(std::span<const std::uint8_t> bytes, Image& image) {
  if (bytes.empty()) throw error(ExitCode::kData, "[decode] the file is empty");
  if (bytes.size() > DecodeLimits::kFileBytes)
    throw error(ExitCode::kData, "[decode] {} bytes, limit {}", bytes.size(),
                DecodeLimits::kFileBytes);
  switch (image_kind(bytes)) {
    case ImageKind::kJpeg: return decode_jpeg(bytes, image);
    case ImageKind::kPng: return decode_png(bytes, image);
    case ImageKind::kUnknown: break;
  }
  std::string begin;
  for (std::uint8_t b : bytes.first(std::min<std::size_t>(bytes.size(), 4)))
    begin += fmt::format(" {:02x}", b);
  throw error(ExitCode::kData, "[decode] neither JPEG nor PNG: begins with{}{}",
              begin, guess(bytes));
}

}  // namespace music::data
