#pragma once
// Photographs beside the repository (../shared/data), for tests that need real
// ones. Without them a test says "[skipped]".

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "data/decode.h"

namespace music::data {

inline std::optional<std::filesystem::path> shared_data() {
  const char* variable = std::getenv("MUSIC_SHARED");
  const std::filesystem::path shared =
      variable ? std::filesystem::path(variable)
               : std::filesystem::path(MUSIC_TEST_SOURCE_DIR) / ".." / ".." /
                     "shared";
  if (!std::filesystem::exists(shared / "data")) return std::nullopt;
  return shared / "data";
}

inline std::vector<std::uint8_t> read_bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Files of a folder and below, sorted.
inline std::vector<std::filesystem::path> files_below(
    const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

// n ImageNet photographs at their own size, spread over all there are; none
// without the shared data.
inline std::vector<Image> photos(std::size_t n) {
  std::vector<Image> images;
  const auto data = shared_data();
  if (!data) return images;
  const auto files = files_below(*data / "imagenet-sample");
  for (std::size_t i = 0; i < n && i < files.size(); ++i)
    decode_image(read_bytes(files[i * files.size() / n]),
                 images.emplace_back());
  return images;
}

}  // namespace music::data
