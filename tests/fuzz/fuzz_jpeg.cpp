// JPEG decoding, whole and in part: the part is refused when the whole is. The
// last bytes choose the part. That its pixels are those of the whole is tested
// on real images: of made-up coefficients, the two decoders overflow 16 bits in
// ways of their own.

#include "data/decode.h"
#include "data/jpeg.h"
#include "data/partial_reader.h"
#include "data/picture_format.h"
#include "tests/fuzz/target.h"

namespace {

using namespace music::data;

Box choose(int width, int height, std::span<const std::uint8_t> bytes) {
  const auto random = [&](std::size_t from_end, int n) {
    return static_cast<int>(bytes[bytes.size() - from_end] * n / 256);
  };
  Box box;
  box.x = random(1, width);
  box.y = random(2, height);
  box.width = 1 + random(3, width - box.x);
  box.height = 1 + random(4, height - box.y);
  return box;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  static Image whole, part;
  static PartialReader reader;
  const std::span bytes(data, size);
  if (size < 4) return 0;
  bool held = false;
  music::fuzz::run(music::ExitCode::kData, [&] {
    reader.open(bytes);
    reader.read(choose(reader.width(), reader.height(), bytes), part);
    held = true;
  });
  return music::fuzz::run(music::ExitCode::kData, [&] {
    try {
      decode_jpeg(bytes, whole);
    } catch (const music::Error&) {
      if (held) std::abort();  // the part came out, the whole does not
      throw;
    }
    if (!held && picture_format(bytes) == PictureFormat::kJpeg) std::abort();
  });
}
