#include "data/written_name.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <system_error>

#include "data/picture_format.h"
#include "engine/core/error.h"
#include "engine/core/text.h"

namespace music::data {
namespace {

// Beside those of pictures.
constexpr auto kExtensions = std::to_array<std::string_view>(
    {"npy", "npz", "mat", "h5", "hdf5", "parquet", "feather", "arrow", "tfrecord",
     "safetensors", "pth", "pt", "ckpt", "pkl", "pickle", "onnx", "pb", "tflite", "gguf",
     "json", "jsonl", "yaml", "yml", "toml", "xml", "csv", "tsv", "txt", "md", "htm",
     "html", "pdf", "ps", "eps", "doc", "docx", "xls", "xlsx", "tar", "tgz", "zip", "gz",
     "bz2", "xz", "zst", "7z", "rar", "mp4", "avi", "mov", "mkv", "webm", "mp3", "wav"});

// What somebody who expects one file may call a folder.
constexpr auto kOneFile = std::to_array<std::string_view>(
    {"safetensors", "pth", "pt", "ckpt", "pkl", "onnx", "npy", "npz", "h5", "tar", "toml",
     "json", "csv", "zip"});

// In lower case, without its dot.
std::string lower_extension(const std::string& path) {
  std::string extension = std::filesystem::path(path).extension().string();
  if (!extension.empty()) extension.erase(0, 1);
  std::ranges::transform(extension, extension.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return extension;
}

}  // namespace

void require_extension(std::string_view flag, const std::string& path,
                       std::string_view what,
                       std::initializer_list<std::string_view> extensions) {
  const std::string extension = lower_extension(path);
  if (std::ranges::find(extensions, extension) != extensions.end() ||
      (std::ranges::find(kExtensions, extension) == kExtensions.end() &&
       format_of_extension(extension) == PictureFormat::kUnknown))
    return;
  std::string expected;
  for (std::size_t i = 0; i < extensions.size(); ++i)
    expected += fmt::format("{}.{}", i == 0 ? "" : i + 1 < extensions.size() ? ", " : " or ",
                            extensions.begin()[i]);
  throw error(ExitCode::kUsage,
              "[output] {} {}: the file would be {}, expected a name that ends in {}", flag,
              one_line(path), what, expected);
}

bool is_called_a_file(const std::string& path) {
  std::error_code none;
  return std::ranges::find(kOneFile, lower_extension(path)) != kOneFile.end() &&
         !std::filesystem::is_directory(path, none);
}

}  // namespace music::data
