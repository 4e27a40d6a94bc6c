// Data sets of image files: a folder, or a list of paths.

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string_view>
#include <system_error>
#include <utility>

#include <spdlog/spdlog.h>

#include "data/dataset_files.h"
#include "data/decode.h"
#include "engine/core/error.h"

namespace music::data {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 9> kExtensions{
    ".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"};
constexpr std::string_view kExpected =
    "expected class sub-folders with images, or images (.jpg, .jpeg, .png) "
    "directly in it";

struct File {
  std::string path;
  int label = -1;
};

// Throws Error kData. The buffer is kept between calls.
void read_whole(const std::string& path, std::vector<std::uint8_t>& bytes) {
  const auto fail = [](const std::error_code& reason) {
    return error(ExitCode::kData, "[dataset] cannot read: {}",
                 reason.message());
  };
  std::error_code failure;
  const std::uintmax_t size = fs::file_size(path, failure);
  if (failure) throw fail(failure);
  if (size > DecodeLimits::kFileBytes)
    throw error(ExitCode::kData, "[dataset] {} bytes, limit {}", size,
                DecodeLimits::kFileBytes);
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(
      std::fopen(path.c_str(), "rb"), std::fclose);
  if (!file) throw fail({errno, std::generic_category()});
  bytes.resize(size);
  bytes.resize(std::fread(bytes.data(), 1, size, file.get()));
  if (std::ferror(file.get())) throw fail({errno, std::generic_category()});
}

class FileDataset : public Dataset {
 public:
  FileDataset(std::vector<File> files, std::vector<std::string> classes)
      : files_(std::move(files)), classes_(std::move(classes)) {}

  std::int64_t size() const override {
    return static_cast<std::int64_t>(files_.size());
  }
  const std::vector<std::string>& classes() const override { return classes_; }
  int label(std::int64_t i) const override { return at(i).label; }
  std::string name(std::int64_t i) const override { return at(i).path; }
  bool read_file(std::int64_t i,
                 std::vector<std::uint8_t>& bytes) const override {
    read_whole(at(i).path, bytes);
    return true;
  }

 private:
  const File& at(std::int64_t i) const {
    return files_[static_cast<std::size_t>(i)];
  }

  std::vector<File> files_;
  std::vector<std::string> classes_;
};

bool is_image_name(const fs::path& path) {
  std::string extension = path.extension().string();
  for (char& c : extension)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return std::find(kExtensions.begin(), kExtensions.end(), extension) !=
         kExtensions.end();
}

struct Listing {
  std::vector<std::string> folders, images;  // sorted names; no hidden folders
};

Listing list_folder(const fs::path& folder) {
  Listing listing;
  std::error_code failure;
  for (fs::directory_iterator it(folder, failure), end;
       !failure && it != end; it.increment(failure)) {
    std::string name = it->path().filename().string();
    std::error_code broken_link;
    if (it->is_directory(broken_link)) {
      if (name.front() != '.') listing.folders.push_back(std::move(name));
    } else if (is_image_name(it->path())) {
      listing.images.push_back(std::move(name));
    }
  }
  if (failure)
    throw error(ExitCode::kData, "[dataset] cannot list {}: {}",
                folder.string(), failure.message());
  std::sort(listing.folders.begin(), listing.folders.end());
  std::sort(listing.images.begin(), listing.images.end());
  return listing;
}

// Adds every image below folder, os.walk's order: the files of a folder before
// those of its sub-folders. ancestors guards against links that form a loop.
void collect(const fs::path& folder, int label,
             std::vector<fs::path>& ancestors, std::vector<File>& files) {
  const fs::path real = fs::canonical(folder);
  if (std::find(ancestors.begin(), ancestors.end(), real) != ancestors.end())
    return;
  ancestors.push_back(real);
  const Listing listing = list_folder(folder);
  for (const std::string& name : listing.images)
    files.push_back({(folder / name).string(), label});
  for (const std::string& name : listing.folders)
    collect(folder / name, label, ancestors, files);
  ancestors.pop_back();
}

std::unique_ptr<Dataset> make(std::vector<File> files,
                              std::vector<std::string> classes,
                              const std::string& path) {
  if (files.size() > std::numeric_limits<std::uint32_t>::max())
    throw error(ExitCode::kData, "[dataset] {}: {} images, limit 2^32 - 1",
                path, files.size());
  return std::make_unique<FileDataset>(std::move(files), std::move(classes));
}

// "path", "path<tab>3" or "path 3". A last word of digits is a label; a path
// that ends in such a word needs the tab form.
File parse_line(std::string_view line, const fs::path& base) {
  File file;
  const std::size_t tab = line.rfind('\t');
  const std::size_t cut = tab != line.npos ? tab : line.rfind(' ');
  if (cut != line.npos) {
    const std::string_view word = line.substr(cut + 1);
    int label = 0;
    const auto [end, failure] =
        std::from_chars(word.data(), word.data() + word.size(), label);
    const bool number = failure == std::errc() &&
                        end == word.data() + word.size() && label >= 0;
    if (number) file.label = label;
    if (number || tab != line.npos) {
      if (!number) file.label = -2;  // the tab promised a label
      line = line.substr(0, cut);
    }
  }
  line = line.substr(0, line.find_last_not_of(" \t") + 1);
  file.path = (base / line).string();
  return file;
}

}  // namespace

std::unique_ptr<Dataset> open_folder(const std::string& path) {
  const Listing top = list_folder(path);
  std::vector<File> files;
  std::vector<fs::path> ancestors;
  std::string empty;
  for (std::size_t i = 0; i < top.folders.size(); ++i) {
    const std::size_t before = files.size();
    collect(fs::path(path) / top.folders[i], static_cast<int>(i), ancestors,
            files);
    if (files.size() == before && empty.empty()) empty = top.folders[i];
  }
  if (!files.empty()) {
    if (!empty.empty())
      throw error(ExitCode::kData,
                  "[dataset] {}: class folder {} has no image; fill or remove "
                  "it (it would shift the labels of the others)",
                  path, empty);
    if (!top.images.empty())
      spdlog::warn("[dataset] {}: {} images beside the class folders are left "
                   "out",
                   path, top.images.size());
    return make(std::move(files), top.folders, path);
  }
  for (const std::string& name : top.images)
    files.push_back({(fs::path(path) / name).string(), -1});
  if (files.empty())
    throw error(ExitCode::kData, "[dataset] {}: no image found{}, {}", path,
                top.folders.empty() ? "" : " in it or its sub-folders",
                kExpected);
  return make(std::move(files), {}, path);
}

std::unique_ptr<Dataset> open_list(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream)
    throw error(ExitCode::kData, "[dataset] cannot read {}: {}", path,
                std::generic_category().message(errno));
  const fs::path base = fs::path(path).parent_path();
  std::vector<File> files;
  std::string line;
  int number = 0, most = -1;
  while (std::getline(stream, line)) {
    ++number;
    if (line.find('\0') != line.npos)
      throw error(ExitCode::kData,
                  "[dataset] {} is not text, expected a list of image paths or "
                  "a folder",
                  path);
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.find_first_not_of(" \t") == line.npos) continue;
    files.push_back(parse_line(line, base));
    const int label = files.back().label;
    if (label == -2)
      throw error(ExitCode::kData,
                  "[dataset] {}:{}: expected a class number from 0 after the "
                  "tab",
                  path, number);
    if ((label >= 0) != (files.front().label >= 0))
      throw error(ExitCode::kData,
                  "[dataset] {}:{}: {} label, unlike the lines before", path,
                  number, label >= 0 ? "a" : "no");
    most = std::max(most, label);
  }
  if (files.empty())
    throw error(ExitCode::kData,
                "[dataset] {} lists no image, expected one path a line", path);
  constexpr int kMostClasses = 1'000'000;
  if (most >= kMostClasses)
    throw error(ExitCode::kData, "[dataset] {}: class number {}, limit {}",
                path, most, kMostClasses - 1);
  if (!fs::exists(files.front().path))
    throw error(ExitCode::kData,
                "[dataset] {}: its first image {} does not exist; paths are "
                "relative to the list's folder",
                path, files.front().path);
  std::vector<std::string> classes;
  for (int c = 0; c <= most; ++c) classes.push_back(std::to_string(c));
  return make(std::move(files), std::move(classes), path);
}

}  // namespace music::data
