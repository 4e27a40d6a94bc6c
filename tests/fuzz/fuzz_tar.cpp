// The index of a tar shard, and reading what it names.

#include <vector>

#include "data/dataset.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using namespace music::data;
  // No index is looked for: what is made from the bytes is what is tested.
  static const int off = setenv("MUSIC_INDEX_CACHE", "off", 1);
  static_cast<void>(off);
  static music::fuzz::MemoryFile file;
  static std::vector<std::uint8_t> bytes;
  file.set({data, size});
  return music::fuzz::run(music::ExitCode::kData, [] {
    const auto shards =
        open_dataset(file.path(), DatasetFormat::kWebDataset, Split::kTrain);
    for (std::int64_t i = 0; i < shards->size(); ++i) {
      shards->name(i);
      shards->label(i);
      shards->read_file(i, bytes);
    }
  });
}
