#pragma once
// manifest.json of a checkpoint: its state, and size and XXH3-128 of every
// shard. The first line holds a hash of all text after it.

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/io/file.h"
#include "music/files/checkpoint.h"

namespace music {

struct CheckpointManifest {
  static constexpr std::string_view kName = "manifest.json";

  CheckpointState state;
  std::vector<std::pair<std::string, FileDigest>> files;

  // The whole file.
  std::string text() const;
  // Throws kData unless it is whole and makes sense.
  static CheckpointManifest read(const std::filesystem::path& directory);
};

bool is_run_id(std::string_view text);      // [A-Za-z0-9._-], 1 to 64
bool is_shard_name(std::string_view name);  // rank-NNNN.safetensors

}  // namespace music
