#include "data/folder_listing.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "data/extension_tallies.h"
#include "data/folder_names.h"
#include "data/foreign_data.h"
#include "data/picture_format.h"
#include "data/tally.h"
#include "engine/core/error.h"
#include "engine/core/text.h"

namespace music::data {
namespace {

namespace fs = std::filesystem;

struct CloseFolder {
  void operator()(DIR* folder) const { closedir(folder); }
};
using Folder = std::unique_ptr<DIR, CloseFolder>;

class Lister {
 public:
  Lister(std::string root, IndexCache& cache)
      : root_(std::move(root)), cache_(cache) {}

  SampleTable run();

 private:
  using Identity = std::pair<dev_t, ino_t>;
  struct Contents {
    Folder handle;
    std::vector<std::string> folders, files;  // sorted
    bool has(const char* file) const {
      return std::binary_search(files.begin(), files.end(), file);
    }
  };

  std::string path_of(const std::string& folder) const {
    return folder.empty() ? root_ : root_ + "/" + folder;
  }
  Contents open(const std::string& folder);
  void read_names(Contents& contents, const std::string& folder);
  bool is_ours(const Contents& contents) const;
  bool enter(const Contents& contents, const std::string& folder, bool again);
  void add_images(const Contents& contents, const std::string& folder, int label);
  bool is_image(const Contents& contents, const std::string& name,
                const std::string& path);
  void collect(const std::string& folder, int label, bool again);
  void watch_splits(const std::vector<std::string>& folders, const std::string& folder);
  void write_notes();
  std::string advice(const Tallies& all, const Tally& most) const;
  [[noreturn]] void refuse() const;

  const std::string root_;
  IndexCache& cache_;
  SampleTable table_;
  std::vector<Identity> above_;              // the folder being listed is in
  std::set<Identity> of_class_, of_others_;  // listed
  bool again_ = false;    // the folder entered was listed before
  bool no_class_ = false;  // the last one collected was passed over
  std::string last_extension_ = "jpg";
  NameKind last_kind_ = NameKind::kImage;
  std::map<std::string, bool, std::less<>> seen_;  // other extensions: of images?
  Tallies pictures_, archives_, others_;     // not images, by extension
  Tally runs_, dangling_, upwards_, repeated_, twice_, splits_;
};

[[noreturn]] void fail_to_list(const std::string& path) {
  throw error(ExitCode::kData,
              "[dataset] cannot list {}: {}; make it readable, or move it out of the data",
              path, std::generic_category().message(errno));
}

Lister::Contents Lister::open(const std::string& folder) {
  const std::string path = path_of(folder);
  cache_.watch(path);
  Contents contents;
  contents.handle.reset(opendir(path.c_str()));
  if (!contents.handle) fail_to_list(path);
  return contents;
}

// The names in a folder, without those to pass over.
void Lister::read_names(Contents& contents, const std::string& folder) {
  while (true) {
    errno = 0;
    const dirent* entry = readdir(contents.handle.get());
    if (!entry) break;
    const std::string_view name = entry->d_name;
    if (name.front() == '.') continue;
    unsigned char type = entry->d_type;
    if (type == DT_LNK || type == DT_UNKNOWN) {
      struct stat status;
      if (fstatat(dirfd(contents.handle.get()), entry->d_name, &status, 0) != 0) {
        dangling_.add(folder.empty() ? std::string(name)
                                     : fmt::format("{}/{}", folder, name));
        continue;
      }
      type = S_ISDIR(status.st_mode) ? DT_DIR : S_ISREG(status.st_mode) ? DT_REG : DT_FIFO;
    }
    if (type == DT_DIR) {
      if (!is_system_folder(name)) contents.folders.emplace_back(name);
    } else if (type == DT_REG) {
      contents.files.emplace_back(name);
    }
  }
  if (errno != 0) fail_to_list(path_of(folder));
  std::sort(contents.folders.begin(), contents.folders.end());
  std::sort(contents.files.begin(), contents.files.end());
}

// A run directory, or what music_features wrote.
bool Lister::is_ours(const Contents& c) const {
  const bool run = c.has("config.toml") &&
                   (c.has("metrics.jsonl") || c.has("env.json") ||
                    std::binary_search(c.folders.begin(), c.folders.end(), "ckpt"));
  return run || (c.has("files.txt") && c.has("info.json") && c.has("labels.npy"));
}

// False: the folder is one above, or was listed in this class.
bool Lister::enter(const Contents& contents, const std::string& folder, bool again) {
  struct stat status;
  if (fstat(dirfd(contents.handle.get()), &status) != 0) return true;
  const Identity identity{status.st_dev, status.st_ino};
  if (std::find(above_.begin(), above_.end(), identity) != above_.end()) {
    upwards_.add(folder);
    return false;
  }
  if (!of_class_.insert(identity).second) {
    repeated_.add(folder);
    return false;
  }
  again_ = of_others_.count(identity) > 0;
  if (again_ && !again) twice_.add(folder);
  above_.push_back(identity);
  return true;
}

bool Lister::is_image(const Contents& contents, const std::string& name,
                      const std::string& path) {
  const std::string extension = extension_of(name);
  if (extension != last_extension_) {
    last_kind_ = kind_of_extension(extension);
    last_extension_ = extension;
  }
  if (last_kind_ == NameKind::kImage) return true;
  if (last_kind_ == NameKind::kUnfinished) return false;
  const auto peek = [&] {
    std::array<std::uint8_t, 16> first;
    const int file = openat(dirfd(contents.handle.get()), name.c_str(),
                            O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) return false;
    const ssize_t n = pread(file, first.data(), first.size(), 0);
    close(file);
    return n > 0 &&
           is_read(picture_format(std::span(first).first(static_cast<std::size_t>(n))));
  };
  bool image = false;
  if (last_kind_ == NameKind::kPeek) {
    image = peek();
  } else if (last_kind_ == NameKind::kOther) {
    const auto found = seen_.find(extension);
    if (found == seen_.end()) image = seen_[extension] = peek();
    else image = found->second && peek();
  }
  if (image) return true;
  const bool picture = format_of_extension(extension) != PictureFormat::kUnknown;
  (picture ? pictures_ : last_kind_ == NameKind::kArchive ? archives_ : others_)
      [extension].add(path);
  return false;
}

void Lister::add_images(const Contents& contents, const std::string& folder,
                        int label) {
  std::string path;
  for (const std::string& name : contents.files) {
    path = folder;
    if (!folder.empty()) path += '/';
    path += name;
    if (!is_image(contents, name, path)) continue;
    table_.names.add(path);
    table_.labels.push_back(label);
  }
}

void Lister::collect(const std::string& folder, int label, bool again) {
  Contents contents = open(folder);
  no_class_ = true;
  if (!enter(contents, folder, again)) return;
  again |= again_;
  read_names(contents, folder);
  const bool ours = is_ours(contents);
  if (ours) {
    runs_.add(folder);
  } else {
    watch_splits(contents.folders, folder);
    add_images(contents, folder, label);
    for (const std::string& name : contents.folders)
      collect(folder + "/" + name, label, again);
  }
  no_class_ = ours;
  above_.pop_back();
}

// train/ and val/ beside each other, below the folder where they would be chosen
// from: both are learnt from.
void Lister::watch_splits(const std::vector<std::string>& folders,
                          const std::string& folder) {
  std::set<std::string_view> kinds;
  Tally found;
  for (const std::string& name : folders) {
    const std::string_view split = split_of(name);
    if (split.empty()) continue;
    kinds.insert(split);
    found.add(folder.empty() ? name : folder + "/" + name);
  }
  if (kinds.size() < 2 || !kinds.count("train") || splits_.count > 0) return;
  splits_ = found;
}

SampleTable Lister::run() {
  for (fs::path up = fs::canonical(root_);; up = up.parent_path()) {
    struct stat status;
    if (stat(up.c_str(), &status) == 0) above_.emplace_back(status.st_dev, status.st_ino);
    if (up == up.root_path()) break;
  }
  Contents top = open("");
  read_names(top, "");
  const bool run = is_ours(top);
  if (run)
    std::erase_if(top.folders, [](const std::string& name) {
      constexpr std::array<std::string_view, 4> kOfRun{"ckpt", "eval", "logs", "tb"};
      return std::find(kOfRun.begin(), kOfRun.end(), name) != kOfRun.end();
    });
  watch_splits(top.folders, "");
  for (const std::string& name : top.folders) {
    of_others_.insert(of_class_.begin(), of_class_.end());
    of_class_.clear();
    const std::int64_t images = table_.size(), runs = runs_.count;
    collect(name, static_cast<int>(table_.classes.size()), false);
    // Nor is one that holds nothing but runs.
    no_class_ |= table_.size() == images && runs_.count > runs;
    if (!no_class_) table_.classes.push_back(name);
  }
  if (table_.size() == 0) table_.classes.clear();
  add_images(top, "", -1);
  if (table_.size() == 0) refuse();
  write_notes();
  return std::move(table_);
}

void Lister::write_notes() {
  const auto note = [&](const Tally& tally, auto&& text) {
    if (tally.count > 0) table_.notes.push_back(text());
  };
  Tally pictures, archives;
  for (const auto& [extension, tally] : pictures_) pictures.add(tally);
  for (const auto& [extension, tally] : archives_) archives.add(tally);
  note(pictures, [&] {
    return fmt::format("{} in formats that are not read left out: {} ({}); {}",
                       pictures.of("picture"), count_by_extension(pictures_),
                       pictures.list(), remedies(pictures_));
  });
  note(archives, [&] {
    return fmt::format("{} not looked into ({}): unpack what belongs to the data",
                       archives.of("archive"), archives.list());
  });
  note(runs_, [&] {
    return fmt::format("{} of this program's output left out ({})",
                       runs_.of("folder"), runs_.list());
  });
  note(dangling_, [&] {
    return fmt::format("{} to what is not there ({})", dangling_.of("link"),
                       dangling_.list());
  });
  note(upwards_, [&] {
    return fmt::format("{} to a folder above not followed ({})",
                       upwards_.of("link"), upwards_.list());
  });
  note(repeated_, [&] {
    return fmt::format("{} to a folder listed already not followed ({})",
                       repeated_.of("link"), repeated_.list());
  });
  note(twice_, [&] {
    return fmt::format("{} to another class folder ({}): its images count twice",
                       twice_.of("link"), twice_.list());
  });
  note(splits_, [&] {
    return fmt::format("images of {} are used alike: give one of these folders if "
                       "that is not meant", splits_.list());
  });
}

// What is there in place of images.
void Lister::refuse() const {
  const std::string download = downloaded_records(root_);
  if (!download.empty()) throw error(ExitCode::kData, "[dataset] {}", download);
  std::string found, why;
  if (const Tally* most = most_frequent(pictures_)) {
    found = fmt::format("{} ({})", count_by_extension(pictures_), most->list());
    why = fmt::format(", not read: {}", remedies(pictures_));
  } else if (!archives_.empty() || !others_.empty()) {
    const Tallies& all = archives_.empty() ? others_ : archives_;
    const Tally& most = *most_frequent(all);
    found = fmt::format("{} ({})", count_by_extension(all), most.list());
    why = advice(all, most);
  } else if (dangling_.count > 0) {
    found = fmt::format("{} to what is not there ({})", dangling_.of("link"),
                        dangling_.list());
  } else if (runs_.count > 0) {
    found = fmt::format("this program's output ({})", runs_.list());
  }
  throw error(ExitCode::kData,
              "[dataset] {}: no image found in it or its sub-folders{}{}{}; expected "
              "images ({}) in class sub-folders, or directly in it",
              root_, found.empty() ? "" : ", but ", found, why, kReadExtensions);
}

// What to do about files that are no images.
std::string Lister::advice(const Tallies& all, const Tally& most) const {
  if (const auto bin = all.find("bin"); bin != all.end())
    for (const std::string& name : bin->second.names)
      if (const fs::path file = name;
          file.has_parent_path() && is_record_file(file.filename().string()))
        return fmt::format("; for CIFAR or STL-10 give {}",
                           (fs::path(root_) / file.parent_path()).string());
  for (const std::string& name : most.names)
    if (const ForeignData data = foreign_file(path_of(name)))
      return fmt::format("; {} is {}", one_line(name), data.text());
  return {};
}

}  // namespace

SampleTable list_images(const std::string& path, IndexCache& cache) {
  std::string root = path;
  while (root.size() > 1 && root.back() == '/') root.pop_back();
  return Lister(root, cache).run();
}

}  // namespace music::data
