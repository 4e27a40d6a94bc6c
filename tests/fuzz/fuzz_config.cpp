// Configuration files. What resolves is written as TOML that resolves to the
// same configuration.

#include "music/config.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  static music::fuzz::MemoryFile file, again;
  file.set({data, size});
  return music::fuzz::run(music::ExitCode::kUsage, [] {
    const music::ResolvedConfig config = music::resolve({{file.path()}, {}, {}});
    const std::string text = to_toml(config);
    again.set({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
    const music::ResolvedConfig back = music::resolve({{again.path()}, {}, {}});
    if (config_hash(back.value) != config_hash(config.value)) std::abort();
  });
}
