#pragma once
// Tables of large data sets, kept between runs: listing a million files, or
// reading the headers of a million records, takes minutes on a network file
// system.
//
// A table is kept in $MUSIC_INDEX_CACHE, else $XDG_CACHE_HOME/music, else
// ~/.cache/music, as a safetensors file ("off" keeps none). It counts while
// every folder and shard it was made from has the same inode, size and time of
// change; otherwise, or when it is damaged, it is made anew. A folder changes
// when a file in it is added, removed or renamed, which is all that matters.

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/sample_table.h"

namespace music::data {

class IndexCache {
 public:
  static constexpr std::int64_t kWorthwhile = 10'000;  // images

  // Of the data set at path; kind tells ways to read one path apart.
  IndexCache(std::string_view kind, const std::string& path);

  std::optional<SampleTable> load() const;
  // A folder or shard the table depends on; to be called before it is read.
  void watch(const std::string& path);
  // Only if it is worthwhile, and nothing watched was changed just now, so that
  // a further change might leave its time the same. Failure is no error.
  void save(const SampleTable& table) const;

 private:
  // Inode, size, time of change in ns; zeros: not there.
  using Stamp = std::array<std::int64_t, 3>;
  static Stamp stamp(const std::string& path);
  SampleTable read() const;

  std::string key_;             // kind and path
  std::filesystem::path file_;  // empty: no cache
  StringList watched_;
  std::vector<Stamp> stamps_;
  bool settled_ = true;
};

}  // namespace music::data
