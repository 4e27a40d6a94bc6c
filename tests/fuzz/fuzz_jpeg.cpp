// JPEG decoding.

#include "data/decode.h"
#include "data/jpeg.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  static music::data::Image image;
  return music::fuzz::run(music::ExitCode::kData, [&] {
    music::data::decode_jpeg({data, size}, image);
  });
}
