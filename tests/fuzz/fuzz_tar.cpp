// The index of a tar shard under each way to choose images, its labels, and reading
// what it names.

#include <spdlog/spdlog.h>

#include <vector>

#include "data/dataset.h"
#include "tests/fuzz/target.h"

namespace {

using namespace music::data;

void read_all(const std::string& path, Split split) {
  static std::vector<std::uint8_t> bytes;
  const auto shards = open_dataset(path, DatasetFormat::kWebDataset, split);
  const auto classes = static_cast<int>(shards->classes().size());
  for (std::int64_t i = 0; i < shards->size(); ++i) {
    shards->name(i);
    const int label = shards->label(i);
    if (label < -1 || label >= classes) std::abort();
    shards->read_file(i, bytes);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  // No index is looked for: what is made from the bytes is what is tested.
  static const int off = setenv("MUSIC_INDEX_CACHE", "off", 1);
  static_cast<void>(off);
  spdlog::set_level(spdlog::level::off);
  static music::fuzz::MemoryFile file;
  file.set({data, size});
  for (const char* key : {"", "#all", "#seg.png;jpg"}) {
    const std::string path = file.path() + key;
    const Split split = *key == '\0' ? Split::kTrain : Split::kPretrain;
    music::fuzz::run(music::ExitCode::kData, [&] { read_all(path, split); });
  }
  return 0;
}
