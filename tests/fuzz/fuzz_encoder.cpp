// What an encoder file says of itself, and what its names and shapes do. The bytes are the header of a
// safetensors file; its length is put before it.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "music/model/encoder_file.h"
#include "music/model/encoder_keys.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using namespace music;
  static std::vector<std::byte> bytes;
  const std::uint64_t length = size;
  bytes.resize(sizeof length + size);
  std::memcpy(bytes.data(), &length, sizeof length);
  std::copy_n(reinterpret_cast<const std::byte*>(data), size,
              bytes.begin() + sizeof length);
  return fuzz::run(ExitCode::kData, [] {
    const auto file = SafetensorsFile::parse(bytes, "fuzz");
    const EncoderInfo info = read_encoder_info(file, "fuzz");
    bool holds = info.encoder.width >= 1 && info.image_size >= 1 &&
                 info.encoder.features() > 0;
    for (std::size_t c = 0; c < 3; ++c)
      holds &= std::isfinite((0.5f - info.pixels.mean[c]) / info.pixels.std[c]);
    if (!holds) std::abort();
    const ResNetSpec spec = spec_of(find_encoder(file, "fuzz"), "fuzz");
    if (spec.width < 1 || spec.features() <= 0) std::abort();
  });
}
