// The directory of a zip file, and where its entries say they are.

#include "engine/io/zip.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using namespace music;
  static fuzz::MemoryFile memory;
  memory.set({data, size});
  return fuzz::run(ExitCode::kData, [] {
    const FileReader file(memory.path());
    for (const ZipEntry& entry : zip_entries(file)) {
      const std::uint64_t at = zip_data_offset(file, entry);
      if (at + entry.size > file.size()) std::abort();
    }
  });
}
