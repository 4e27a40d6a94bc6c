#include "data/jpeg.h"

#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <string>
#include <string_view>

#include <jpeglib.h>
// After jpeglib.h, which needs FILE and size_t.
#include <jerror.h>

#include "data/decode.h"
#include "data/picture_format.h"
#include "engine/core/error.h"

namespace music::data {
namespace {

// libjpeg reports errors by longjmp. Between setjmp and the jump live only C
// frames and the functions marked below, which own nothing.
struct ErrorState {
  jpeg_error_mgr manager;  // first: libjpeg hands back a pointer to it
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void on_error(j_common_ptr info) {
  auto* state = reinterpret_cast<ErrorState*>(info->err);
  state->manager.format_message(info, state->message);
  std::longjmp(state->jump, 1);
}

// A premature end would leave grey pixels; other warnings keep the image.
void on_message(j_common_ptr info, int level) {
  if (level < 0 && info->err->msg_code == JWRN_JPEG_EOF) on_error(info);
}

// A small progressive file can ask for any number of passes over a big image.
void on_progress(j_common_ptr info) {
  const auto* decoder = reinterpret_cast<j_decompress_ptr>(info);
  if (decoder->input_scan_number <= DecodeLimits::kJpegScans) return;
  auto* state = reinterpret_cast<ErrorState*>(info->err);
  std::snprintf(state->message, sizeof state->message, "more than %d scans",
                DecodeLimits::kJpegScans);
  std::longjmp(state->jump, 1);
}

void install(ErrorState& state, jpeg_error_mgr*& slot) {
  slot = jpeg_std_error(&state.manager);
  state.manager.error_exit = on_error;
  state.manager.emit_message = on_message;
  state.manager.output_message = [](j_common_ptr) {};
}

struct Decoder {
  jpeg_decompress_struct info{};
  jpeg_progress_mgr progress{};
  ErrorState error{};

  Decoder() {
    install(error, info.err);
    progress.progress_monitor = on_progress;
  }
  ~Decoder() { jpeg_destroy_decompress(&info); }
};

// Owns nothing. False: decoder.error.message says why.
bool read_header(Decoder& decoder, const std::uint8_t* bytes,
                 std::size_t size) {
  jpeg_decompress_struct& info = decoder.info;
  if (setjmp(decoder.error.jump)) return false;
  jpeg_create_decompress(&info);
  info.progress = &decoder.progress;
  info.mem->max_memory_to_use = DecodeLimits::kCodecBytes;
  jpeg_mem_src(&info, bytes, static_cast<unsigned long>(size));
  jpeg_read_header(&info, TRUE);
  return true;
}

// Owns nothing. Rows of CMYK are four bytes a pixel.
bool read_pixels(Decoder& decoder, std::uint8_t* pixels, std::size_t stride) {
  jpeg_decompress_struct& info = decoder.info;
  if (setjmp(decoder.error.jump)) return false;
  const bool four = info.num_components == 4;
  info.out_color_space = four ? JCS_CMYK : JCS_RGB;
  info.dct_method = JDCT_ISLOW;
  info.do_fancy_upsampling = TRUE;
  jpeg_start_decompress(&info);
  while (info.output_scanline < info.output_height) {
    JSAMPROW row = pixels + stride * info.output_scanline;
    jpeg_read_scanlines(&info, &row, 1);
  }
  for (int i = 0; i < info.num_components; ++i) {
    if (info.comp_info[i].quant_table) continue;
    std::snprintf(decoder.error.message, sizeof decoder.error.message,
                  "ends before component %d of %d", i + 1, info.num_components);
    return false;
  }
  // Reads on to the end marker: damage that filled the rows with grey often
  // shows only there.
  jpeg_finish_decompress(&info);
  return true;
}

// Of a file that libjpeg refuses: what it is and the way out, where its frame
// header shows a process that libjpeg does not know; else "".
std::string unknown_process(std::span<const std::uint8_t> bytes) {
  for (std::size_t at = 2; at + 5 <= bytes.size() && bytes[at] == 0xFF;) {
    const int marker = bytes[at + 1];
    if (marker == 0xFF) {  // fill
      ++at;
      continue;
    }
    if (marker == 0xF7) return refusal(PictureFormat::kJpegLs);
    if (marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 &&
        marker != 0xCC) {
      const int bits = bytes[at + 4];
      constexpr std::string_view expected = ", expected 8 bits, baseline or progressive";
      if ((marker & 7) >= 5)
        return fmt::format("a hierarchical JPEG{}: few programs read it", expected);
      if ((marker & 3) != 3 && bits != 12)
        return bits == 8 ? "" : fmt::format("a JPEG of {} bits{}", bits, expected);
      return fmt::format("a {} JPEG{}: `djpeg FILE | pnmtopng > OUT.png` of "
                         "libjpeg-turbo 3 converts it",
                         (marker & 3) == 3 ? "lossless" : "12-bit", expected);
    }
    if (marker < 0xC0 || (marker >= 0xD0 && marker <= 0xDA)) return "";
    at += 2 + (std::size_t{bytes[at + 2]} << 8 | bytes[at + 3]);
  }
  return "";
}

// a * b / 255, rounded, as Pillow computes it.
int multiply_255(int a, int b) {
  const int t = a * b + 128;
  return ((t >> 8) + t) >> 8;
}

// Inverted CMYK, four bytes a pixel, to RGB, three bytes a pixel.
void cmyk_to_rgb(const std::uint8_t* in, std::size_t pixels,
                 std::uint8_t* out) {
  for (std::size_t i = 0; i < pixels; ++i, in += 4, out += 3) {
    const int light = in[3];
    for (int c = 0; c < 3; ++c) {
      const int v = light - multiply_255(255 - in[c], light);
      out[c] = static_cast<std::uint8_t>(v < 0 ? 0 : v);
    }
  }
}

// Owns nothing. libjpeg allocates *out with malloc.
bool write_jpeg(jpeg_compress_struct& info, ErrorState& error,
                const std::uint8_t* pixels, int width, int height, int quality,
                unsigned char** out, unsigned long* size) {
  if (setjmp(error.jump)) return false;
  jpeg_create_compress(&info);
  jpeg_mem_dest(&info, out, size);
  info.image_width = static_cast<JDIMENSION>(width);
  info.image_height = static_cast<JDIMENSION>(height);
  info.input_components = Image::kChannels;
  info.in_color_space = JCS_RGB;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, quality, TRUE);
  jpeg_start_compress(&info, TRUE);
  const std::size_t stride = std::size_t{Image::kChannels} * width;
  while (info.next_scanline < info.image_height) {
    auto* row = const_cast<JSAMPROW>(pixels + stride * info.next_scanline);
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  return true;
}

}  // namespace

void decode_jpeg(std::span<const std::uint8_t> bytes, Image& image) {
  Decoder decoder;
  const auto fail = [&] {
    const std::string process = unknown_process(bytes);
    return error(ExitCode::kData, "[jpeg] {}",
                 process.empty() ? decoder.error.message : process);
  };
  if (!read_header(decoder, bytes.data(), bytes.size())) throw fail();
  const std::int64_t width = decoder.info.image_width;
  const std::int64_t height = decoder.info.image_height;
  if (width * height > DecodeLimits::kPixels)
    throw error(ExitCode::kData, "[jpeg] {} x {} pixels, limit {} in all",
                width, height, DecodeLimits::kPixels);
  // A header that claims more is refused before memory is taken for it.
  if (!decoder.info.arith_code &&
      width * height > DecodeLimits::kJpegPixelsPerByte * std::ssize(bytes))
    throw error(ExitCode::kData, "[jpeg] {} x {} pixels cannot be in {} bytes",
                width, height, bytes.size());
  std::uint8_t* pixels =
      image.reset(static_cast<int>(width), static_cast<int>(height));
  if (decoder.info.num_components != 4) {
    if (!read_pixels(decoder, pixels, image.stride())) throw fail();
    return;
  }
  static thread_local std::vector<std::uint8_t> cmyk;
  const auto count = static_cast<std::size_t>(width * height);
  if (cmyk.size() < 4 * count) cmyk.resize(4 * count);
  if (!read_pixels(decoder, cmyk.data(), 4 * static_cast<std::size_t>(width)))
    throw fail();
  cmyk_to_rgb(cmyk.data(), count, pixels);
}

std::vector<std::uint8_t> encode_jpeg(const Image& image, int quality) {
  MUSIC_CHECK(image.width() >= 1 && image.width() <= DecodeLimits::kJpegSide &&
                  image.height() >= 1 &&
                  image.height() <= DecodeLimits::kJpegSide,
              "[jpeg] cannot encode {} x {} pixels", image.width(),
              image.height());
  jpeg_compress_struct info{};
  ErrorState state{};
  install(state, info.err);
  unsigned char* out = nullptr;
  unsigned long size = 0;
  const bool ok = write_jpeg(info, state, image.data(), image.width(),
                             image.height(), quality, &out, &size);
  jpeg_destroy_compress(&info);
  std::vector<std::uint8_t> bytes;
  if (ok) bytes.assign(out, out + size);
  std::free(out);
  MUSIC_CHECK(ok, "[jpeg] {}", state.message);
  return bytes;
}

}  // namespace music::data
