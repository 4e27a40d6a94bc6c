// Configuration files. What resolves is written as TOML that resolves to the
// same configuration.

#include "music/config/config.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using music::fuzz::MemoryFile;
  static MemoryFile file, again;
  file.set({data, size});
  return music::fuzz::run(music::ExitCode::kUsage, [] {
    const auto resolve = [](const MemoryFile& from) {
      return music::resolve({{from.path()}, {}, {}});
    };
    const music::ResolvedConfig config = resolve(file);
    const std::string text = to_toml(config);
    again.set(
        {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
    if (config_hash(resolve(again).value) != config_hash(config.value))
      std::abort();
  });
}
