// What is given as weights and is none: named, never read further.

#include "music/model/foreign_weights.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using namespace music;
  static fuzz::MemoryFile memory;
  memory.set({data, size});
  return fuzz::run(ExitCode::kData, [] { refuse_foreign(memory.path()); });
}
