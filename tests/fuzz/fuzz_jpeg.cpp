// JPEG decoding, whole and in part: the part has the pixels of the whole, and
// is refused when the whole is. The last bytes choose the part.

#include <algorithm>
#include <cstring>
#include <optional>

#include "data/decode.h"
#include "data/jpeg.h"
#include "data/partial_reader.h"
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
  std::optional<Box> held;
  music::fuzz::run(music::ExitCode::kData, [&] {
    reader.open(bytes);
    held = reader.read(choose(reader.width(), reader.height(), bytes), part);
  });
  return music::fuzz::run(music::ExitCode::kData, [&] {
    try {
      decode_jpeg(bytes, whole);
    } catch (const music::Error&) {
      if (held) std::abort();  // the part came out, the whole does not
      throw;
    }
    if (image_kind(bytes) != ImageKind::kJpeg) return;
    if (!held) std::abort();
    for (int y = 0; y < held->height; ++y)
      if (std::memcmp(part.row(y), whole.row(held->y + y) + 3 * held->x,
                      part.stride()) != 0)
        std::abort();
  });
}
