// Profiles that music_plan scales.

#include "music/plan/node_cost.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  static music::fuzz::MemoryFile file;
  file.set({data, size});
  return music::fuzz::run(music::ExitCode::kData, [] {
    const music::Profile profile = music::read_profile(file.path());
    bool holds = profile.samples > 0 && profile.optimizer_ms >= 0;
    for (const auto& node : profile.nodes) holds &= node.milliseconds >= 0;
    if (!holds) std::abort();
  });
}
