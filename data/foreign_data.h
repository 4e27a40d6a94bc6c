#pragma once
// What a path that was given as data is when it is no data set that is read, for
// the error: a name, and the way to one that is.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace music::data {

// "a Parquet table: write its images as files, or as tar shards"; empty where
// nothing is known to say. name: of the file, without folders; bytes: its first
// kSniffBytes, or all.
std::string describe_foreign(std::string_view name,
                             std::span<const std::uint8_t> bytes);
// Empty, too, for what cannot be read or is no file.
std::string describe_foreign_file(const std::string& path);

// A folder with the Python version of CIFAR, or above it, or with its archive:
// what that is, and what to download in its place. Otherwise empty.
std::string python_cifar(const std::string& folder);

}  // namespace music::data
