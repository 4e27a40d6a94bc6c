// Data sets of image files: a folder, or a list of paths.

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include <spdlog/spdlog.h>

#include "data/dataset_files.h"
#include "data/decode.h"
#include "data/index_cache.h"
#include "engine/core/error.h"
#include "engine/io/file.h"

namespace music::data {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 9> kExtensions{
    ".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"};
constexpr std::string_view kExpected =
    "expected class sub-folders with images, or images (.jpg, .jpeg, .png) "
    "directly in it";

// Images that are files of their own.
class FileDataset : public Dataset {
 public:
  // The names in table are relative to root, or absolute.
  FileDataset(SampleTable table, std::string root)
      : table_(std::move(table)), root_(std::move(root)) {
    if (!root_.empty() && root_.back() != '/') root_ += '/';
  }

  std::int64_t size() const override { return table_.size(); }
  const std::vector<std::string>& classes() const override {
    return table_.classes;
  }
  int label(std::int64_t i) const override {
    return table_.labels[static_cast<std::size_t>(i)];
  }
  std::string name(std::int64_t i) const override {
    std::string path;
    write_path(i, path);
    return path;
  }
  bool read_file(std::int64_t i,
                 std::vector<std::uint8_t>& bytes) const override {
    static thread_local std::string path;
    write_path(i, path);
    music::read_file(path, DecodeLimits::kFileBytes, bytes);
    return true;
  }

 private:
  void write_path(std::int64_t i, std::string& path) const {
    const std::string_view name = table_.names[static_cast<std::size_t>(i)];
    path.clear();
    if (!name.starts_with('/')) path = root_;
    path += name;
  }

  SampleTable table_;
  std::string root_;
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

// Lists the classes and images below a root.
class Lister {
 public:
  Lister(fs::path root, IndexCache& cache)
      : root_(std::move(root)), cache_(cache) {}

  Listing list(const std::string& folder) {
    cache_.watch((root_ / folder).string());
    return list_folder(root_ / folder);
  }
  // Adds every image below folder in os.walk's order: the files of a folder
  // before those of its sub-folders.
  void collect(const std::string& folder, int label) {
    const fs::path real = fs::canonical(root_ / folder);
    // Links may form a loop.
    if (std::find(ancestors_.begin(), ancestors_.end(), real) !=
        ancestors_.end())
      return;
    ancestors_.push_back(real);
    const Listing listing = list(folder);
    for (const std::string& name : listing.images)
      add(folder + "/" + name, label);
    for (const std::string& name : listing.folders)
      collect(folder + "/" + name, label);
    ancestors_.pop_back();
  }
  void add(std::string_view name, int label) {
    table.names.add(name);
    table.labels.push_back(label);
  }

  SampleTable table;

 private:
  fs::path root_;
  IndexCache& cache_;
  std::vector<fs::path> ancestors_;
};

SampleTable list_images(const std::string& path, IndexCache& cache) {
  Lister lister(path, cache);
  const Listing top = lister.list("");
  std::string empty;
  for (std::size_t i = 0; i < top.folders.size(); ++i) {
    const std::int64_t before = lister.table.size();
    lister.collect(top.folders[i], static_cast<int>(i));
    if (lister.table.size() == before && empty.empty()) empty = top.folders[i];
  }
  if (lister.table.size() > 0) {
    if (!empty.empty())
      throw error(ExitCode::kData,
                  "[dataset] {}: class folder {} has no image; fill or remove "
                  "it (it would shift the labels of the others)",
                  path, empty);
    if (!top.images.empty())
      spdlog::warn("[dataset] {}: {} images beside the class folders are left "
                   "out",
                   path, top.images.size());
    lister.table.classes = top.folders;
    return std::move(lister.table);
  }
  for (const std::string& name : top.images) lister.add(name, -1);
  if (lister.table.size() == 0)
    throw error(ExitCode::kData, "[dataset] {}: no image found{}, {}", path,
                top.folders.empty() ? "" : " in it or its sub-folders",
                kExpected);
  return std::move(lister.table);
}

struct Line {
  std::string_view path;
  int label = -1;
};

// "path", "path<tab>3" or "path 3". A last word of digits is a label; a path
// that ends in such a word needs the tab form.
Line parse_line(std::string_view line) {
  Line parsed;
  const std::size_t tab = line.rfind('\t');
  const std::size_t cut = tab != line.npos ? tab : line.rfind(' ');
  if (cut != line.npos) {
    const std::string_view word = line.substr(cut + 1);
    int label = 0;
    const auto [end, failure] =
        std::from_chars(word.data(), word.data() + word.size(), label);
    const bool number = failure == std::errc() &&
                        end == word.data() + word.size() && label >= 0;
    if (number) parsed.label = label;
    if (number || tab != line.npos) {
      if (!number) parsed.label = -2;  // the tab promised a label
      line = line.substr(0, cut);
    }
  }
  parsed.path = line.substr(0, line.find_last_not_of(" \t") + 1);
  return parsed;
}

}  // namespace

std::unique_ptr<Dataset> open_folder(const std::string& path) {
  IndexCache cache("folder", path);
  std::optional<SampleTable> table = cache.load();
  if (!table) {
    table = list_images(path, cache);
    check_size(*table, path);
    cache.save(*table);
  }
  return std::make_unique<FileDataset>(std::move(*table), path);
}

std::unique_ptr<Dataset> open_files(const std::vector<std::string>& paths,
                                    const std::string& root) {
  SampleTable table;
  for (const std::string& path : paths) {
    table.names.add(path);
    table.labels.push_back(-1);
  }
  check_size(table, root);
  return std::make_unique<FileDataset>(std::move(table), root);
}

std::unique_ptr<Dataset> open_list(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream)
    throw error(ExitCode::kData, "[dataset] cannot read {}: {}", path,
                std::generic_category().message(errno));
  SampleTable table;
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
    const auto [image, label] = parse_line(line);
    if (label == -2)
      throw error(ExitCode::kData,
                  "[dataset] {}:{}: expected a class number from 0 after the "
                  "tab",
                  path, number);
    table.names.add(image);
    table.labels.push_back(label);
    if ((label >= 0) != (table.labels.front() >= 0))
      throw error(ExitCode::kData,
                  "[dataset] {}:{}: {} label, unlike the lines before", path,
                  number, label >= 0 ? "a" : "no");
    most = std::max(most, label);
  }
  if (table.size() == 0)
    throw error(ExitCode::kData,
                "[dataset] {} lists no image, expected one path a line", path);
  if (most >= kMostClasses)
    throw error(ExitCode::kData, "[dataset] {}: class number {}, limit {}",
                path, most, kMostClasses - 1);
  check_size(table, path);
  for (int c = 0; c <= most; ++c) table.classes.push_back(std::to_string(c));
  auto dataset = std::make_unique<FileDataset>(
      std::move(table), fs::path(path).parent_path().string());
  if (!fs::exists(dataset->name(0)))
    throw error(ExitCode::kData,
                "[dataset] {}: its first image {} does not exist; paths are "
                "relative to the list's folder",
                path, dataset->name(0));
  return dataset;
}

}  // namespace music::data
