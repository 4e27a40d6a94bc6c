// The quarantine file of a run that goes on: lines that are none are passed
// over.

#include "music/files/quarantine.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  static music::fuzz::MemoryFile file;
  file.set({data, size});
  const music::Quarantine quarantine(file.path(), music::data::BadImage::kSkip);
  if (quarantine.samples().size() !=
      static_cast<std::size_t>(quarantine.count()))
    std::abort();
  return 0;
}
