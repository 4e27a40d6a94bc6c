// Kept tables of data sets, a safetensors file each. One that is accepted holds
// together.

#include <spdlog/spdlog.h>

#include "data/index_cache.h"
#include "tests/fuzz/target.h"

namespace {

using namespace music::data;

// The table of "/" is looked for in a folder of ours, and is a file in memory.
struct Kept {
  music::fuzz::Folder folder;
  music::fuzz::MemoryFile file;

  Kept() {
    spdlog::set_level(spdlog::level::off);
    setenv("MUSIC_INDEX_CACHE", folder.path("").c_str(), 1);
    SampleTable table;
    for (int i = 0; i < IndexCache::kWorthwhile; ++i) {
      table.names.add("x");
      table.labels.push_back(-1);
    }
    cache().save(table);  // makes the file's name
    for (const auto& entry :
         std::filesystem::directory_iterator(folder.path(""))) {
      const std::string name = entry.path().filename().string();
      std::filesystem::remove(entry.path());
      folder.link(name, file);
      return;
    }
    std::abort();
  }
  static IndexCache cache() { return IndexCache("fuzz", "/"); }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  static Kept kept;
  kept.file.set({data, size});
  const auto table = Kept::cache().load();
  if (!table) return 0;
  for (std::size_t i = 0; i < table->names.size(); ++i) {
    static_cast<void>(table->names[i]);
    const int label = table->labels.at(i);
    if (table->shards.empty()) {
      if (label >= 0) table->classes.at(static_cast<std::size_t>(label));
    } else {
      table->shards.at(table->shard.at(i));
      static_cast<void>(table->offset.at(i) + table->bytes.at(i));
    }
  }
  return 0;
}
