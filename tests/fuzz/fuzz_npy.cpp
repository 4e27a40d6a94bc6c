// NumPy arrays.

#include "engine/io/npy.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  static music::fuzz::MemoryFile file;
  file.set({data, size});
  return music::fuzz::run(music::ExitCode::kData,
                          [] { music::read_npy(file.path()); });
}
