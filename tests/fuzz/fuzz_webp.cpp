// WebP decoding, and the refusals of everything that begins otherwise.

#include "data/decode.h"
#include "data/webp.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  static music::data::Image image;
  const std::span bytes(data, size);
  return music::fuzz::run(music::ExitCode::kData, [&] {
    if (size >= 12 && data[0] == 'R') return music::data::decode_webp(bytes, image);
    music::data::decode_image(bytes, image);
  });
}
