#pragma once
// Opens files of a run, whoever left what in its folder.

#include <filesystem>
#include <fstream>

namespace music {

// The file to read; not open where the name is not there or no regular file: a FIFO
// would never end, a folder has no bytes.
inline std::ifstream open_regular(const std::filesystem::path& path) {
  std::error_code failure;
  std::ifstream in;
  if (std::filesystem::is_regular_file(path, failure))
    in.open(path, std::ios::binary);
  else
    in.setstate(std::ios::failbit);
  return in;
}

}  // namespace music
