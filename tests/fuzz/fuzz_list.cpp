// Lists of images. "." and "0" are files beside the list.

#include "data/dataset.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using namespace music::data;
  static music::fuzz::MemoryFile file;
  file.set({data, size});
  return music::fuzz::run(music::ExitCode::kData, [] {
    const auto list =
        open_dataset(file.path(), DatasetFormat::kList, Split::kTrain);
    for (std::int64_t i = 0; i < list->size(); ++i) {
      list->name(i);
      list->label(i);
    }
  });
}
