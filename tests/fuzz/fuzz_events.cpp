// TensorBoard's event files as an earlier start left them: what of one is kept.

#include <sstream>

#include "music/files/tensorboard.h"
#include "tests/fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using namespace music;
  std::string bytes(reinterpret_cast<const char*>(data), size);
  const auto kept = [](const std::string& file, std::int64_t first) {
    std::istringstream in(file);
    return whole_events(in, first);
  };
  for (const std::int64_t first : {std::int64_t{0}, std::int64_t{3}, INT64_MAX}) {
    const std::int64_t keep = kept(bytes, first);
    if (keep < -1 || keep > static_cast<std::int64_t>(bytes.size())) std::abort();
    // What is left is whole.
    if (keep >= 0 && kept(bytes.substr(0, static_cast<std::size_t>(keep)), first) != keep)
      std::abort();
  }
  return 0;
}
