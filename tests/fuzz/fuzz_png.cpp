// PNG decoding. Checksums are made to fit, or nothing would come past them.

#include <vector>

#include "data/decode.h"
#include "tests/data/png_checksums.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  static music::data::Image image;
  static std::vector<std::uint8_t> bytes;
  bytes.assign(data, data + size);
  music::data::fix_checksums(bytes);
  return music::fuzz::run(music::ExitCode::kData, [&] {
    music::data::decode_image(bytes, image);
  });
}
