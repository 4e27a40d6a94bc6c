// safetensors: weights and checkpoints.

#include "engine/io/safetensors.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  return music::fuzz::run(music::ExitCode::kData, [&] {
    const auto file = music::SafetensorsFile::parse(
        std::as_bytes(std::span(data, size)), "fuzz");
    std::size_t bytes = 0;  // the tensors tile what follows the header
    for (const music::TensorEntry& entry : file.tensors())
      bytes += entry.data.size();
    if (bytes > size) std::abort();
  });
}
