#pragma once
// What a path that was given as data is when it is no data set that is read, for
// the error: a name, and the way to one that is.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace music::data {

struct ForeignData {
  std::string what;    // "a Parquet table"; empty: nothing is known to say
  std::string remedy;  // "write its images as files in folders, or as tar shards"

  explicit operator bool() const { return !what.empty(); }
  std::string text() const { return remedy.empty() ? what : what + ": " + remedy; }
};

// name: of the file, without folders; bytes: its first kSniffBytes, or all.
ForeignData foreign_data(std::string_view name, std::span<const std::uint8_t> bytes);
// Nothing, too, for what cannot be read or is no file.
ForeignData foreign_file(const std::string& path);
// "; it is a Git LFS pointer: `git lfs pull` fetches it", or nothing.
std::string but_is(const std::string& path);

// CIFAR and STL-10 as they are downloaded and in Python's version, in a file or in
// a folder: what that is and what to do, by names alone. Otherwise empty.
std::string downloaded_records(const std::string& path);

}  // namespace music::data
