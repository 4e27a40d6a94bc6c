#pragma once
// Questions to an atlas that is written (docs/atlas.md).

#include <filesystem>
#include <string>
#include <vector>

#include "tools/cli.h"

namespace music {

struct AtlasQuestion {
  std::string like, by = "code";
  std::vector<int> same, different, among;
  std::vector<std::string> units, other_units;  // "3:17"
  std::int64_t top = 20;

  // Options that need `with`.
  void add_to(CLI::App& app, const std::string& with);
};

// Prints the images found, a line each, or one JSON object. Throws kUsage for a
// question that this atlas cannot answer, kData for files that are none.
void search_atlas(const std::filesystem::path& atlas, const AtlasQuestion& question,
                  bool json);

}  // namespace music
