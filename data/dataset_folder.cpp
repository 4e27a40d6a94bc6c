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
#include "data/shard_paths.h"
#include "data/tally.h"
#include "engine/core/counted.h"
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
Tally empty_classes(const SampleTable& table) {
  std::vector<bool> has(table.classes.size());
  for (const int label : table.labels)
    if (label >= 0) has[static_cast<std::size_t>(label)] = true;
  Tally empty;
  for (std::size_t c = 0; c < has.size(); ++c)
    if (!has[c]) empty.add(table.classes[c]);
  return empty;
}

// Of class folders, for those who use labels: without the images beside them.
void require_labels(SampleTable& table, const std::string& path) {
  if (table.classes.empty()) return;
  const Tally empty = empty_classes(table);
  if (empty.count == 1)
    throw error(ExitCode::kData,
                "[dataset] {}: class folder {} has no image; fill or remove it (the labels "
                "of the others depend on it), or give the folder of the classes",
                path, empty.list());
  if (empty.count > 1)
    throw error(ExitCode::kData,
                "[dataset] {}: {} of {} class folders have no image ({}); fill or remove "
                "them (the labels of the others depend on it), or give the folder of the "
                "classes", path, empty.count, table.classes.size(), empty.list());
  const auto beside = std::find(table.labels.begin(), table.labels.end(), -1);
  const auto labelled = static_cast<std::size_t>(beside - table.labels.begin());
  if (beside == table.labels.end()) return;
  spdlog::warn("[dataset] {}: {} beside the class folders left out ({})", path,
               counted(std::ssize(table.labels) - static_cast<std::int64_t>(labelled), "image"),
               one_line(table.names[labelled]));
  table.names.resize(labelled);
  table.labels.resize(labelled);
}

enum class Found : char { kFile, kOther };

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
      const bool file = stat(dataset.name(i).c_str(), &status) == 0 &&
                        S_ISREG(status.st_mode);
      found[static_cast<std::size_t>(i)] = file ? Found::kFile : Found::kOther;
    }
  };
  std::vector<std::thread> threads;
  for (std::int64_t t = 1; t < count; ++t) threads.emplace_back(work, t);
  work(0);
  for (std::thread& thread : threads) thread.join();
  return found;
}

// Without what a name may be written in two ways by: letters beyond ASCII, which
// are one character or a letter and its mark, or bytes of another encoding.
std::string bare_name(std::string_view name) {
  std::string bare;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const auto byte = static_cast<unsigned char>(name[i]);
    // U+0300 to U+036F
    if ((byte == 0xCC || byte == 0xCD) && !bare.empty() && i > 0 && name[i - 1] > 0)
      bare.pop_back();
    if (byte < 0x80) bare += name[i];
  }
  return bare;
}

// What is nearly so on the disk; empty: nothing.
std::string written_otherwise(const std::string& name, const fs::path& folder) {
  const auto lower = [](std::string text) {
    for (char& c : text)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return text;
  };
  std::error_code ignored;
  fs::path at = name.starts_with('/') ? "/" : folder.empty() ? "." : folder;
  for (const fs::path& step : fs::path(name).relative_path()) {
    if (fs::exists(at / step, ignored)) {
      at /= step;
      continue;
    }
    const std::string ours = step.string(), ours_bare = bare_name(ours);
    for (const auto& entry : fs::directory_iterator(at, ignored)) {
      const std::string theirs = entry.path().filename().string();
      if (lower(theirs) == lower(ours))
        return fmt::format("on the disk is {}: upper and lower case differ", visible(theirs));
      if (ours_bare != ours && bare_name(theirs) == ours_bare)
        return fmt::format("on the disk is {}: the same in another Unicode form "
                           "(normalisation) or encoding", visible(theirs));
    }
    break;
  }
  return {};
}

// Why an image of a list may not be where the list says.
std::string missing_hint(const std::string& name, const fs::path& folder) {
  const auto exists = [](const fs::path& path) {
    std::error_code ignored;
    return fs::exists(path, ignored);
  };
  const std::size_t blank = name.find_first_of(" ,\t");
  if (name.find("://") != name.npos) return "addresses; expected files";
  if (name.size() > 2 && name[1] == ':' && (name[2] == '\\' || name[2] == '/'))
    return "paths of Windows; expected paths here";
  if (name.ends_with(".tar")) return "expected images; for shards give their folder";
  std::error_code ignored;
  if (exists(folder / name) && !fs::is_directory(folder / name, ignored))
    return "neither files nor folders; expected images";
  if (exists(folder / name)) return "folders; expected images, or give the folder itself";
  if (name.starts_with('/') && exists(folder / name.substr(1)))
    return "paths from / on; without it they lie below the list's folder";
  if (blank != name.npos && exists(folder / name.substr(blank + 1)))
    return "something stands before the path; expected the path first";
  if (exists(name)) return "paths from the current folder on; expected them from the list's";
  for (const char* extension : {".jpg", ".JPEG", ".jpeg", ".png"})
    if (exists(folder / (name + extension)))
      return "names without their extension; expected whole paths";
  if (std::string near = written_otherwise(name, folder); !near.empty()) return near;
  return "paths are relative to the list's folder";
}

// Says which images of a list are not there.
void check_files(const Dataset& list, const ImageList& parsed, const std::string& path) {
  const std::vector<Found> found = look_up(list);
  Tally missing;
  for (std::size_t i = 0; i < found.size(); ++i)
    if (found[i] != Found::kFile) missing.add(visible(parsed.paths[i]));
  if (missing.count == 0) return;
  const auto first = std::find_if(found.begin(), found.end(),
                                  [](Found f) { return f != Found::kFile; });
  const std::string hint = missing_hint(
      std::string(parsed.paths[static_cast<std::size_t>(first - found.begin())]),
      fs::path(path).parent_path());
  if (missing.count == std::ssize(found))
    throw error(ExitCode::kData,
                "[dataset] {}: {} is a file ({}): {}", path,
                missing.count == 1 ? "not the one image it lists"
                                   : fmt::format("none of the {} images it lists",
                                                 missing.count),
                missing.list(), hint);
  spdlog::warn("[dataset] {}: {} of the {} images it lists cannot be read ({}): {}",
               path, missing.count, found.size(), missing.list(), hint);
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
  spdlog::warn("[dataset] {}: {} of its {} lines {} an image again{} ({}{}): it counts as "
               "often as it is listed", path, again, list.paths.size(), again == 1 ? "names" : "name",
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
  if (split != Split::kPretrain) {
    require_labels(*table, path);
  } else if (!table->classes.empty() && table->labels.back() < 0) {
    const auto beside = std::count(table->labels.begin(), table->labels.end(), -1);
    spdlog::info("[dataset] {}: {} beside its folders {} too", path,
                 counted(beside, "image"), beside == 1 ? "counts" : "count");
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
  if (is_shard_name(list.paths[0]))
    throw error(ExitCode::kData,
                "[dataset] {} lists archives ({}), expected images: for shards give their "
                "folder, or a pattern as 'DIR/{{000..146}}.tar'", path, visible(list.paths[0]));
  auto dataset = std::make_unique<FileDataset>(std::move(table), folder.string());
  check_files(*dataset, list, path);
  check_duplicates(list, path);
  return dataset;
}

}  // namespace music::data
