#pragma once
// Which files are meant by the path of a set of shards.

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "data/shard_samples.h"

namespace music::data {

// "PATH#KEY" is the shards at PATH with another choice of the image; a path that
// exists as it stands has no key.
struct ShardPath {
  std::string path, key;
};
ShardPath split_shard_path(const std::string& path);

// With braces, or with a star and the end of a shard.
bool is_shard_pattern(const std::string& path);
// What "{000..146}", "{train,val}" and "*" stand for, several of them too; the
// path itself without such, or where it exists. Throws Error kData for another use
// of braces, and for stars that nothing fits.
std::vector<std::string> expand_pattern(const std::string& path);

struct ShardListing {
  std::vector<std::string> shards;  // sorted paths
  Tally compressed;                 // archives that would have to be unpacked
  Tally unfinished;                 // downloads under way, "a.tar.part"
  Tally pictures;                   // files of their own
};
// Throws Error kData where the folder has shards of several sets.
ShardListing shards_in(const std::filesystem::path& folder);

// By the end of the name.
bool is_shard_name(std::string_view name);
bool is_compressed_name(std::string_view name);

}  // namespace music::data
