#include "data/png.h"

#include <cstdlib>
#include <cstring>
#include <memory>

#include "data/decode.h"
#include "engine/core/error.h"

namespace {

// stb grows its inflate buffer for as long as the stream asks: cap each block.
void* png_malloc(std::size_t n) {
  return n > static_cast<std::size_t>(music::data::DecodeLimits::kCodecBytes)
             ? nullptr
             : std::malloc(n);
}
void* png_realloc(void* p, std::size_t n) {
  return n > static_cast<std::size_t>(music::data::DecodeLimits::kCodecBytes)
             ? nullptr
             : std::realloc(p, n);
}

}  // namespace

// The only place that includes stb_image.
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
#pragma GCC diagnostic pop

static_assert(STBI_MAX_DIMENSIONS == music::data::DecodeLimits::kPngSide);

namespace music::data {

void decode_png(std::span<const std::uint8_t> bytes, Image& image) {
  const auto* in = bytes.data();
  const int size = static_cast<int>(bytes.size());
  int width = 0, height = 0, channels = 0;
  if (!stbi_info_from_memory(in, size, &width, &height, &channels))
    throw error(ExitCode::kData, "[png] {}", stbi_failure_reason());
  if (std::int64_t{width} * height > DecodeLimits::kPixels)
    throw error(ExitCode::kData, "[png] {} x {} pixels, limit {} in all",
                width, height, DecodeLimits::kPixels);
  const std::unique_ptr<stbi_uc, void (*)(void*)> pixels(
      stbi_load_from_memory(in, size, &width, &height, &channels,
                            Image::kChannels),
      stbi_image_free);
  if (!pixels) throw error(ExitCode::kData, "[png] {}", stbi_failure_reason());
  std::uint8_t* out = image.reset(width, height);
  std::memcpy(out, pixels.get(), image.bytes());
}

}  // namespace music::data
