// Checkpoints. The bytes are the manifest's text after its first line, which
// holds their hash; the one shard is always the same.

#include <vector>

#include "music/files/checkpoint.h"
#include "tests/fuzz/target.h"

namespace {

struct Directory {
  music::fuzz::Folder folder;
  music::fuzz::MemoryFile manifest, shard;

  Directory() {
    folder.link("manifest.json", manifest);
    folder.link("rank-0000.safetensors", shard);
    constexpr std::string_view kShard("\2\0\0\0\0\0\0\0{}", 10);
    shard.set({reinterpret_cast<const std::uint8_t*>(kShard.data()),
               kShard.size()});
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  static Directory directory;
  music::Xxh3 hash;
  hash.update(std::as_bytes(std::span(data, size)));
  const std::string line =
      "{\n \"self_xxh3_128\": \"" + hash.digest().xxh3_128 + "\",\n";
  std::vector<std::uint8_t> text(line.begin(), line.end());
  text.insert(text.end(), data, data + size);
  directory.manifest.set(text);
  return music::fuzz::run(music::ExitCode::kData, [] {
    const auto checkpoint = music::load_checkpoint(directory.folder.path(""));
    if (checkpoint.state.step < 0 || checkpoint.state.world_size < 1)
      std::abort();
  });
}
