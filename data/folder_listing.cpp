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

#include "data/foreign_data.h"
#include "data/picture_format.h"
#include "engine/core/error.h"
#include "engine/core/text.h"

namespace music::data {
namespace {

namespace fs = std::filesystem;

// What stands in a folder's listing beside dot-files.
enum class NameKind { kImage, kPeek, kUnfinished, kArchive, kOther };

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

// Without its dot, lower case; empty: none.
std::string extension_of(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  return dot == name.npos || dot == 0 ? "" : lower_case(name.substr(dot + 1));
}

template <std::size_t N>
bool is_one_of(std::string_view text, const std::array<std::string_view, N>& all) {
  return std::find(all.begin(), all.end(), text) != all.end();
}

NameKind kind_of_extension(std::string_view extension) {
  constexpr std::array<std::string_view, 11> kUnfinished{
      "part", "partial", "crdownload", "download", "tmp", "temp",
      "bak", "orig", "old", "swp", "lock"};
  constexpr std::array<std::string_view, 15> kArchives{
      "zip", "tar", "tgz", "gz", "tbz", "tbz2", "bz2", "txz", "xz", "zst", "7z",
      "rar", "parquet", "tfrecord", "tfrecords"};
  const PictureFormat format = format_of_extension(extension);
  if (is_read(format)) return NameKind::kImage;
  if (format != PictureFormat::kUnknown) return NameKind::kPeek;
  if (std::all_of(extension.begin(), extension.end(),
                  [](char c) { return c >= '0' && c <= '9'; }))
    return NameKind::kPeek;  // none, or "frame.0001"
  if (is_one_of(extension, kUnfinished) || extension.ends_with('~'))
    return NameKind::kUnfinished;
  return is_one_of(extension, kArchives) ? NameKind::kArchive : NameKind::kOther;
}

bool is_system_folder(std::string_view name) {
  constexpr std::array<std::string_view, 10> kNames{
      "__macosx", "@eadir", "@tmp", "#recycle", "#snapshot", "$recycle.bin",
      "recycler", "lost+found", "system volume information", "__pycache__"};
  return name.front() == '.' || is_one_of(lower_case(name), kNames);
}

// "train2017" is of "train"; empty: not the name of a split.
std::string_view split_of(const std::string& folder) {
  constexpr std::array<std::array<std::string_view, 2>, 8> kSplits{{
      {"train", "train"}, {"training", "train"}, {"val", "val"}, {"valid", "val"},
      {"validation", "val"}, {"test", "test"}, {"testing", "test"}, {"eval", "test"}}};
  std::string name = lower_case(folder);
  name.erase(std::find_if(name.rbegin(), name.rend(), [](char c) {
               return (c < '0' || c > '9') && c != '_' && c != '-';
             }).base(), name.end());
  for (const auto& [spelling, split] : kSplits)
    if (name == spelling) return split;
  return {};
}

// A file of CIFAR or STL-10.
bool is_record_file(std::string_view name) {
  return name.starts_with("data_batch_") || name == "test_batch.bin" ||
         name == "train.bin" || name == "test.bin" || name.ends_with("_X.bin");
}

// So many, and the first names.
struct Tally {
  std::int64_t count = 0;
  std::vector<std::string> names;

  void add(std::string_view name) {
    if (++count <= 3) names.emplace_back(name);
  }
  // "a, b, c, ..."
  std::string text() const {
    std::string out;
    for (const std::string& name : names)
      out += (out.empty() ? "" : ", ") + one_line(name);
    return out + (count > std::ssize(names) ? ", ..." : "");
  }
  // "1 link", "2 links"
  std::string many(std::string_view one) const {
    return fmt::format("{} {}{}", count, one, count == 1 ? "" : "s");
  }
};

using Tallies = std::map<std::string, Tally, std::less<>>;

// "2 .bmp, 1 .gif", the most frequent first.
std::string count_by_extension(const Tallies& tallies) {
  std::vector<std::pair<std::int64_t, std::string>> counts;
  for (const auto& [extension, tally] : tallies)
    counts.emplace_back(-tally.count, extension);
  std::sort(counts.begin(), counts.end());
  std::string out;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (i == 5) return out + ", ...";
    out += fmt::format("{}{} {}", i == 0 ? "" : ", ", -counts[i].first,
                       counts[i].second.empty()
                           ? "without extension"
                           : fmt::format(".{}", one_line(counts[i].second)));
  }
  return out;
}

const Tally* most_frequent(const Tallies& tallies) {
  const Tally* most = nullptr;
  for (const auto& [extension, tally] : tallies)
    if (!most || tally.count > most->count) most = &tally;
  return most;
}

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
  Contents read(const std::string& folder);
  bool is_ours(const Contents& contents) const;
  bool enter(const Contents& contents, const std::string& folder, bool again);
  void add_images(const Contents& contents, const std::string& folder, int label);
  bool is_image(const Contents& contents, const std::string& name,
                const std::string& path);
  void collect(const std::string& folder, int label, bool again);
  void watch_splits(const std::vector<std::string>& folders, const std::string& folder);
  void write_notes();
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

// The names in a folder, without those to pass over.
Lister::Contents Lister::read(const std::string& folder) {
  const std::string path = path_of(folder);
  cache_.watch(path);
  Contents contents;
  contents.handle.reset(opendir(path.c_str()));
  const auto fail = [&] {
    throw error(ExitCode::kData,
                "[dataset] cannot list {}: {}; make it readable, or move it out of "
                "the data", path, std::generic_category().message(errno));
  };
  if (!contents.handle) fail();
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
  if (errno != 0) fail();
  std::sort(contents.folders.begin(), contents.folders.end());
  std::sort(contents.files.begin(), contents.files.end());
  return contents;
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
  const Contents contents = read(folder);
  no_class_ = true;
  if (is_ours(contents)) return runs_.add(folder);
  if (!enter(contents, folder, again)) return;
  again |= again_;
  watch_splits(contents.folders, folder);
  add_images(contents, folder, label);
  for (const std::string& name : contents.folders)
    collect(folder + "/" + name, label, again);
  no_class_ = false;
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
  Contents top = read("");
  const bool run = is_ours(top);
  if (run)
    std::erase_if(top.folders, [](const std::string& name) {
      constexpr std::array<std::string_view, 4> kOfRun{"ckpt", "eval", "logs", "tb"};
      return is_one_of(name, kOfRun);
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
  const auto total = [](const Tallies& from, Tally& to) {
    for (const auto& [extension, tally] : from) {
      for (const std::string& name : tally.names) to.add(name);
      to.count += tally.count - std::ssize(tally.names);
    }
  };
  total(pictures_, pictures);
  total(archives_, archives);
  note(pictures, [&] {
    const PictureFormat most =
        format_of_extension(extension_of(most_frequent(pictures_)->names[0]));
    return fmt::format("{} of formats that are not read left out: {} ({}); {}",
                       pictures.many("picture"), count_by_extension(pictures_),
                       pictures.text(), format_remedy(most));
  });
  note(archives, [&] {
    return fmt::format("{} not looked into ({}): unpack what belongs to the data",
                       archives.many("archive"), archives.text());
  });
  note(runs_, [&] {
    return fmt::format("{} of this program's output left out ({})",
                       runs_.many("folder"), runs_.text());
  });
  note(dangling_, [&] {
    return fmt::format("{} to what is not there ({})", dangling_.many("link"),
                       dangling_.text());
  });
  note(upwards_, [&] {
    return fmt::format("{} to a folder above not followed ({})",
                       upwards_.many("link"), upwards_.text());
  });
  note(repeated_, [&] {
    return fmt::format("{} to a folder listed already not followed ({})",
                       repeated_.many("link"), repeated_.text());
  });
  note(twice_, [&] {
    return fmt::format("{} to another class folder ({}): its images count twice",
                       twice_.many("link"), twice_.text());
  });
  note(splits_, [&] {
    return fmt::format("images of {} are used alike: give one of these folders if "
                       "that is not meant", splits_.text());
  });
}

// What is there in place of images.
void Lister::refuse() const {
  const std::string python = python_cifar(root_);
  if (!python.empty()) throw error(ExitCode::kData, "[dataset] {}", python);
  std::string found = "nothing";
  std::string why;
  if (const Tally* most = most_frequent(pictures_)) {
    found = fmt::format("{} ({})", count_by_extension(pictures_), most->text());
    why = fmt::format(", which {} not read: {}", most->count == 1 ? "is" : "are",
                      format_remedy(format_of_extension(extension_of(most->names[0]))));
  } else if (const Tally* of = most_frequent(archives_.empty() ? others_ : archives_)) {
    const Tallies& all = archives_.empty() ? others_ : archives_;
    found = fmt::format("{} ({})", count_by_extension(all), of->text());
    if (const auto bin = all.find("bin"); bin != all.end())
      for (const std::string& name : bin->second.names)
        if (const fs::path file = name; is_record_file(file.filename().string())) {
          found = one_line(name);
          why = fmt::format("; for CIFAR or STL-10 give {}",
                            (fs::path(root_) / file.parent_path()).string());
        }
    for (const std::string& name : of->names) {
      if (!why.empty()) break;
      why = describe_foreign_file(path_of(name));
      if (why.empty()) continue;
      why = fmt::format("; {} is {}", one_line(name), why);
      break;
    }
  } else if (dangling_.count > 0) {
    found = fmt::format("{} to what is not there ({})", dangling_.many("link"),
                        dangling_.text());
  } else if (runs_.count > 0) {
    found = fmt::format("this program's output ({})", runs_.text());
  }
  throw error(ExitCode::kData,
              "[dataset] {}: no image found in it or its sub-folders, but {}{}; "
              "expected class sub-folders with images ({}), or images directly in it",
              root_, found, why, kReadExtensions);
}

}  // namespace

SampleTable list_images(const std::string& path, IndexCache& cache) {
  std::string root = path;
  while (root.size() > 1 && root.back() == '/') root.pop_back();
  return Lister(root, cache).run();
}

}  // namespace music::data
