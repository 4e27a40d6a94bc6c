#include "data/webp.h"

#include <webp/decode.h>
#include <webp/demux.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <string_view>

#include "data/decode.h"
#include "engine/core/error.h"

namespace music::data {
namespace {

Error failure(VP8StatusCode status) {
  const auto text = [status]() -> std::string_view {
    switch (status) {
      case VP8_STATUS_NOT_ENOUGH_DATA:
      case VP8_STATUS_SUSPENDED: return "ends early";
      case VP8_STATUS_UNSUPPORTED_FEATURE: return "has a feature unknown to libwebp";
      case VP8_STATUS_OUT_OF_MEMORY: return "needs more memory than there is";
      default: return "is damaged";
    }
  };
  return error(ExitCode::kData, "[webp] the file {}", text());
}

WebPBitstreamFeatures features_of(std::span<const std::uint8_t> bytes) {
  WebPBitstreamFeatures features;
  const auto status = WebPGetFeatures(bytes.data(), bytes.size(), &features);
  if (status != VP8_STATUS_OK) throw failure(status);
  return features;
}

using Demuxer = std::unique_ptr<WebPDemuxer, void (*)(WebPDemuxer*)>;
constexpr int kLossy = 1;  // of WebPBitstreamFeatures::format

// A header that claims more is refused before memory is taken for it.
void check_size(std::int64_t width, std::int64_t height, int format,
                std::int64_t bytes) {
  const std::int64_t pixels = width * height;
  if (pixels > DecodeLimits::kPixels)
    throw error(ExitCode::kData, "[webp] {} x {} pixels, limit {} in all", width,
                height, DecodeLimits::kPixels);
  // Even one colour costs bits when lossy, but none when lossless.
  const std::int64_t free = format == kLossy ? 0 : DecodeLimits::kWebpFreePixels;
  if (pixels > std::max(free, DecodeLimits::kWebpPixelsPerByte * bytes))
    throw error(ExitCode::kData, "[webp] {} x {} pixels cannot be in {} bytes",
                width, height, bytes);
  if (format != kLossy && 4 * pixels > DecodeLimits::kCodecBytes)
    throw error(ExitCode::kData, "[webp] {} x {} lossless pixels, limit {} in all",
                width, height, DecodeLimits::kCodecBytes / 4);
}

// One picture to rows of width * 3 bytes, stride apart.
void decode(std::span<const std::uint8_t> bytes, int width, int height,
            std::size_t stride, std::uint8_t* pixels) {
  WebPDecoderConfig config;
  if (!WebPInitDecoderConfig(&config))
    throw error(ExitCode::kInternal, "[webp] libwebp is of another version than its headers");
  config.output.colorspace = MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = pixels;
  config.output.u.RGBA.stride = static_cast<int>(stride);
  config.output.u.RGBA.size =
      stride * static_cast<std::size_t>(height - 1) + std::size_t{3} * width;
  const auto status = WebPDecode(bytes.data(), bytes.size(), &config);
  if (status != VP8_STATUS_OK) throw failure(status);
}

}  // namespace

// The demuxer checks the container, the animation's other frames too, as Pillow
// has it do; what it shows of a still picture is a first frame.
void decode_webp(std::span<const std::uint8_t> bytes, Image& image) {
  const WebPData data{bytes.data(), bytes.size()};
  const Demuxer demuxer(WebPDemux(&data), WebPDemuxDelete);
  if (!demuxer) {
    WebPDemuxState state;
    const Demuxer part(WebPDemuxPartial(&data, &state), WebPDemuxDelete);
    throw failure(state == WEBP_DEMUX_PARSE_ERROR ? VP8_STATUS_BITSTREAM_ERROR
                                                  : VP8_STATUS_NOT_ENOUGH_DATA);
  }
  const std::int64_t width = WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_WIDTH);
  const std::int64_t height = WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_HEIGHT);
  WebPIterator frame;
  if (!WebPDemuxGetFrame(demuxer.get(), 1, &frame))
    throw error(ExitCode::kData, "[webp] the file has no picture");
  const std::unique_ptr<WebPIterator, void (*)(WebPIterator*)> release(
      &frame, WebPDemuxReleaseIterator);
  const std::span part(frame.fragment.bytes, frame.fragment.size);
  const WebPBitstreamFeatures features = features_of(part);
  if (features.width != frame.width || features.height != frame.height ||
      std::int64_t{frame.x_offset} + frame.width > width ||
      std::int64_t{frame.y_offset} + frame.height > height)
    throw failure(VP8_STATUS_BITSTREAM_ERROR);
  const bool covers = frame.width == width && frame.height == height;
  check_size(width, height, covers ? features.format : 0, std::ssize(bytes));
  check_size(frame.width, frame.height, features.format, std::ssize(part));
  std::uint8_t* pixels =
      image.reset(static_cast<int>(width), static_cast<int>(height));
  if (!covers) std::fill_n(pixels, image.bytes(), std::uint8_t{0});
  decode(part, frame.width, frame.height, image.stride(),
         pixels + image.stride() * static_cast<std::size_t>(frame.y_offset) +
             std::size_t{3} * static_cast<std::size_t>(frame.x_offset));
}

}  // namespace music::data
