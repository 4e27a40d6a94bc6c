#pragma once
// What names of files and folders say, before anything is opened.

#include <string>
#include <string_view>

namespace music::data {

// Without its dot, lower case; empty: none.
std::string extension_of(std::string_view name);

enum class NameKind {
  kImage,       // of a picture format that is read
  kPeek,        // of another one, none, or a number: its first bytes tell
  kUnfinished,  // a download or a copy under way, a backup
  kArchive,
  kOther
};
NameKind kind_of_extension(std::string_view extension);

// Of an operating system, a storage device or a tool, or hidden.
bool is_system_folder(std::string_view name);

// "train2017" is of "train"; empty: not the name of a split.
std::string_view split_of(const std::string& folder);

// A file of CIFAR or STL-10.
bool is_record_file(std::string_view name);

}  // namespace music::data
