// Data sets of image files: a folder, or a list of paths.

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string_view>
#include <system_error>
#include <thread>
#include <unordered_map>
#include <utility>

#include <spdlog/spdlog.h>

#include "data/dataset_files.h"
#include "data/decode.h"
#include "data/folder_listing.h"
#include "data/image_list.h"
#include "data/index_cache.h"
#include "engine/core/error.h"
#include "engine/core/text.h"
#include "engine/io/file.h"

namespace music::data {
namespace {

namespace fs = std::filesystem;

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

// Class folders without an image.
std::vector<std::string> empty_classes(const SampleTable& table) {
  std::vector<bool> has(table.classes.size());
  for (const int label : table.labels)
    if (label >= 0) has[static_cast<std::size_t>(label)] = true;
  std::vector<std::string> empty;
  for (std::size_t c = 0; c < has.size(); ++c)
    if (!has[c]) empty.push_back(table.classes[c]);
  return empty;
}

// "a, b, c, ..."
std::string first_of(const std::vector<std::string>& names) {
  std::string out;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i == 3) return out + ", ...";
    out += (i == 0 ? "" : ", ") + visible(names[i]);
  }
  return out;
}

// Of class folders, for those who use labels: without the images beside them.
void require_labels(SampleTable& table, const std::string& path) {
  if (table.classes.empty()) return;
  const std::vector<std::string> empty = empty_classes(table);
  if (!empty.empty())
    throw error(ExitCode::kData,
                "[dataset] {}: class folder{} {} {} no image; fill or remove {} (the "
                "labels of the others depend on it), or give the folder of the classes",
                path, empty.size() == 1 ? "" : "s", first_of(empty),
                empty.size() == 1 ? "has" : "have", empty.size() == 1 ? "it" : "them");
  const auto beside = std::find(table.labels.begin(), table.labels.end(), -1);
  const auto labelled = static_cast<std::size_t>(beside - table.labels.begin());
  if (beside == table.labels.end()) return;
  spdlog::warn("[dataset] {}: {} images beside the class folders are left out ({})",
               path, table.labels.size() - labelled,
               one_line(table.names[labelled]));
  table.names.resize(labelled);
  table.labels.resize(labelled);
}

enum class Found : char { kFile, kNothing, kOther };

// What each path of a data set is; on a network file system the time is waiting,
// so many are asked for at once.
std::vector<Found> look_up(const Dataset& dataset) {
  constexpr std::int64_t kEach = 4096, kThreads = 16;
  const std::int64_t n = dataset.size();
  std::vector<Found> found(static_cast<std::size_t>(n));
  const std::int64_t count = std::clamp<std::int64_t>(n / kEach, 1, kThreads);
  const auto work = [&](std::int64_t first) {
    for (std::int64_t i = first; i < n; i += count) {
      struct stat status;
      const bool there = stat(dataset.name(i).c_str(), &status) == 0;
      found[static_cast<std::size_t>(i)] =
          !there ? Found::kNothing : S_ISREG(status.st_mode) ? Found::kFile : Found::kOther;
    }
  };
  std::vector<std::thread> threads;
  for (std::int64_t t = 1; t < count; ++t) threads.emplace_back(work, t);
  work(0);
  for (std::thread& thread : threads) thread.join();
  return found;
}

// Says which images of a list are not there.
void check_files(const Dataset& list, const ImageList& parsed, const std::string& path) {
  const std::vector<Found> found = look_up(list);
  std::vector<std::string> missing, other;
  bool below_here = true;
  std::error_code ignored;
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (found[i] == Found::kFile) continue;
    auto& names = found[i] == Found::kNothing ? missing : other;
    names.emplace_back(parsed.paths[i]);
    if (names.size() <= 3) below_here &= fs::exists(names.back(), ignored);
  }
  if (missing.empty() && other.empty()) return;
  std::string hint = "paths are relative to the list's folder";
  const std::string& first = missing.empty() ? other.front() : missing.front();
  if (!missing.empty() && first.find("://") != first.npos)
    hint = "these are addresses, expected files";
  else if (first.size() > 2 && first[1] == ':' && (first[2] == '\\' || first[2] == '/'))
    hint = "these are paths of Windows";
  else if (first.ends_with(".tar"))
    hint = "expected images; for shards give their folder";
  else if (!missing.empty() && below_here)
    hint = "paths are relative to the list's folder, these are to the current one";
  else if (missing.empty())
    hint = "they are folders; expected images, or give a folder in place of the list";
  const std::size_t count = missing.size() + other.size();
  missing.insert(missing.end(), other.begin(), other.end());
  if (count == found.size())
    throw error(ExitCode::kData, "[dataset] {}: none of the {} images it lists exists ({}): {}",
                path, count, first_of(missing), hint);
  spdlog::warn("[dataset] {}: {} of the {} images it lists do{} not exist ({}): {}; {} as "
               "images that cannot be read", path, count, found.size(),
               count == 1 ? "es" : "", first_of(missing), hint,
               count == 1 ? "it counts" : "they count");
}

// Says which images stand in a list more than once.
void check_duplicates(const ImageList& list, const std::string& path) {
  const auto plain = [](std::string_view name) {
    while (name.starts_with("./")) name.remove_prefix(2);
    return name;
  };
  std::unordered_map<std::string_view, std::size_t> seen;
  seen.reserve(list.paths.size());
  std::size_t again = 0, other_labels = 0;
  std::string first;
  for (std::size_t i = 0; i < list.paths.size(); ++i) {
    const auto [at, is_new] = seen.emplace(plain(list.paths[i]), i);
    if (is_new) continue;
    if (again++ == 0)
      first = fmt::format("{} on lines {} and {}", visible(list.paths[i]),
                          list.lines[at->second], list.lines[i]);
    other_labels += list.labels[i] != list.labels[at->second];
  }
  if (again == 0) return;
  spdlog::warn("[dataset] {}: {} of its {} lines name an image again{} ({}{}): it counts as "
               "often as it is listed", path, again, list.paths.size(),
               other_labels > 0 ? fmt::format(", {} with another class", other_labels) : "",
               first, again > 1 ? ", ..." : "");
}

// All of a list; what its first bytes say is no text is not read to its end.
std::string read_list(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream)
    throw error(ExitCode::kData, "[dataset] cannot read {}: {}", path,
                std::generic_category().message(errno));
  std::string text;
  std::array<char, 1 << 16> block;
  do {
    stream.read(block.data(), block.size());
    text.append(block.data(), static_cast<std::size_t>(stream.gcount()));
  } while (stream && text.find('\0', text.size() - static_cast<std::size_t>(stream.gcount())) ==
                         text.npos);
  return text;
}

}  // namespace

std::unique_ptr<Dataset> open_folder(const std::string& path, Split split) {
  IndexCache cache("folder", path);
  std::optional<SampleTable> table = cache.load();
  if (!table) {
    table = list_images(path, cache);
    check_size(*table, path);
    cache.save(*table);
  }
  for (const std::string& note : table->notes)
    spdlog::warn("[dataset] {}: {}", path, note);
  if (split != Split::kPretrain) require_labels(*table, path);
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

std::unique_ptr<Dataset> open_list(const std::string& path, Split split) {
  const fs::path folder = fs::path(path).parent_path();
  const ImageList list =
      parse_image_list(read_list(path), path, [&](const std::string& name) {
        std::error_code ignored;
        return fs::exists(folder / name, ignored);
      });
  if (!list.fault.empty() && split != Split::kPretrain)
    throw error(ExitCode::kData, "[dataset] {}", list.fault);
  SampleTable table;
  table.names = list.paths;
  table.labels = list.labels;
  for (int c = 0; c < list.classes; ++c) table.classes.push_back(std::to_string(c));
  check_size(table, path);
  auto dataset = std::make_unique<FileDataset>(std::move(table), folder.string());
  check_files(*dataset, list, path);
  check_duplicates(list, path);
  return dataset;
}

}  // namespace music::data
