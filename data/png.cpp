#include "data/png.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "data/decode.h"
#include "engine/core/error.h"
#include "engine/core/text.h"

namespace {

// stb grows its inflate buffer for as long as the stream asks: no block may be
// larger than this image needs.
thread_local std::size_t block_limit = 0;

void* png_malloc(std::size_t n) {
  return n > block_limit ? nullptr : std::malloc(n);
}
void* png_realloc(void* p, std::size_t n) {
  return n > block_limit ? nullptr : std::realloc(p, n);
}

}  // namespace

// The only place that includes stb.
#define STBI_MALLOC png_malloc
#define STBI_REALLOC png_realloc
#define STBI_FREE std::free
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STBI_NO_HDR
#define STBI_NO_LINEAR
#define STBI_MAX_DIMENSIONS 16384
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"  // of its static functions
#include <stb/stb_image.h>
#define STBI_WRITE_NO_STDIO
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

static_assert(STBI_MAX_DIMENSIONS == music::data::DecodeLimits::kPngSide);

namespace music::data {
namespace {

std::uint32_t big_endian(const std::uint8_t* p) {
  return std::uint32_t{p[0]} << 24 | std::uint32_t{p[1]} << 16 |
         std::uint32_t{p[2]} << 8 | p[3];
}

std::uint32_t crc32(std::span<const std::uint8_t> bytes) {
  static const auto table = [] {
    std::array<std::uint32_t, 256> t{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      t[i] = i;
      for (int k = 0; k < 8; ++k)
        t[i] = (t[i] >> 1) ^ (t[i] & 1 ? 0xEDB88320u : 0);
    }
    return t;
  }();
  std::uint32_t crc = ~0u;
  for (const std::uint8_t b : bytes) crc = table[(crc ^ b) & 255] ^ (crc >> 8);
  return ~crc;
}

// stb_image looks at no checksum, so a damaged file would come out as a
// wrong image.
void check_chunks(std::span<const std::uint8_t> bytes) {
  std::size_t at = 8;  // after the signature
  while (true) {
    if (bytes.size() - at < 12) throw error(ExitCode::kData, "[png] truncated");
    const std::size_t length = big_endian(bytes.data() + at);
    if (length > bytes.size() - at - 12)
      throw error(ExitCode::kData, "[png] truncated");
    const auto body = bytes.subspan(at + 4, 4 + length);  // type and data
    // stb would swap its red and blue.
    if (at == 8 && std::memcmp(body.data(), "CgBI", 4) == 0)
      throw error(ExitCode::kData,
                  "[png] a PNG as Xcode packs it for iOS (CgBI), expected a plain "
                  "one: `pngcrush -revert-iphone-optimizations FILE OUT.png` "
                  "converts it");
    if (crc32(body) != big_endian(body.data() + body.size()))
      throw error(ExitCode::kData, "[png] a chunk fails its checksum");
    if (std::memcmp(body.data(), "IEND", 4) == 0) return;
    at += 12 + length;
  }
}

// What stb says; it may name a chunk by the bytes in the file.
Error failure() {
  const std::string text = in_quotes(stbi_failure_reason());
  return error(ExitCode::kData, "[png] {}",
               std::string_view(text).substr(1, text.size() - 2));
}

}  // namespace

void decode_png(std::span<const std::uint8_t> bytes, Image& image) {
  check_chunks(bytes);
  const auto* in = bytes.data();
  const int size = static_cast<int>(bytes.size());
  int width = 0, height = 0, channels = 0;
  // check_chunks has seen a chunk; stb does not say what it finds too large.
  if (bytes.size() >= 24 && std::memcmp(in + 12, "IHDR", 4) == 0) {
    const std::size_t w = big_endian(in + 16), h = big_endian(in + 20);
    if (std::max(w, h) > DecodeLimits::kPngSide)
      throw error(ExitCode::kData, "[png] {} x {} pixels, limit {} a side", w, h,
                  DecodeLimits::kPngSide);
  }
  block_limit = 4096;  // of the header
  if (!stbi_info_from_memory(in, size, &width, &height, &channels))
    throw failure();
  if (std::int64_t{width} * height > DecodeLimits::kPixels)
    throw error(ExitCode::kData, "[png] {} x {} pixels, limit {} in all",
                width, height, DecodeLimits::kPixels);
  // The file itself, gathered in a buffer that doubles; its pixels, up to 8
  // bytes each, in one that may double too.
  const std::size_t pixel_bytes = 16 * static_cast<std::size_t>(width) * height;
  block_limit = std::min(static_cast<std::size_t>(DecodeLimits::kCodecBytes),
                         4096 + 2 * bytes.size() + pixel_bytes);
  const std::unique_ptr<stbi_uc, void (*)(void*)> pixels(
      stbi_load_from_memory(in, size, &width, &height, &channels,
                            Image::kChannels),
      stbi_image_free);
  if (!pixels) throw failure();
  std::uint8_t* out = image.reset(width, height);
  std::memcpy(out, pixels.get(), image.bytes());
}

std::vector<std::uint8_t> encode_png(const Image& image) {
  std::vector<std::uint8_t> bytes;
  const auto append = [](void* to, void* data, int size) {
    const auto* begin = static_cast<const std::uint8_t*>(data);
    auto& all = *static_cast<std::vector<std::uint8_t>*>(to);
    all.insert(all.end(), begin, begin + size);
  };
  const int ok = stbi_write_png_to_func(
      append, &bytes, image.width(), image.height(), Image::kChannels,
      image.data(), static_cast<int>(image.stride()));
  MUSIC_CHECK(ok && !bytes.empty(), "[png] cannot encode {} x {} pixels",
              image.width(), image.height());
  return bytes;
}

}  // namespace music::data
