// WebDataset shards as one data set: the images of all, and what must be said of
// them. Images are read by pread at their offsets, so any order costs the same.

#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <exception>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string_view>
#include <thread>
#include <utility>

#include "data/dataset_files.h"
#include "data/decode.h"
#include "data/folder_names.h"
#include "data/index_cache.h"
#include "data/picture_format.h"
#include "data/shard_paths.h"
#include "data/shard_samples.h"
#include "engine/core/error.h"
#include "engine/core/text.h"
#include "engine/io/file.h"

namespace music::data {
namespace {

namespace fs = std::filesystem;

class ShardDataset : public Dataset {
 public:
  explicit ShardDataset(SampleTable table) : table_(std::move(table)) {
    allow_open_files(table_.shards.size());
    for (const std::string& shard : table_.shards)
      files_.push_back(std::make_unique<FileReader>(shard));
  }

  std::int64_t size() const override { return table_.size(); }
  const std::vector<std::string>& classes() const override {
    return table_.classes;
  }
  int label(std::int64_t i) const override { return table_.labels[at(i)]; }
  std::string name(std::int64_t i) const override {
    return fmt::format("{}:{}", table_.shards[table_.shard[at(i)]],
                       table_.names[at(i)]);
  }
  bool read_file(std::int64_t i,
                 std::vector<std::uint8_t>& bytes) const override {
    const std::uint64_t n = table_.bytes[at(i)];
    if (n > DecodeLimits::kFileBytes)
      throw error(ExitCode::kData, "[dataset] {} bytes, limit {}", n,
                  DecodeLimits::kFileBytes);
    bytes.resize(n);
    files_[table_.shard[at(i)]]->read(table_.offset[at(i)],
                                      std::as_writable_bytes(std::span(bytes)));
    return true;
  }

 private:
  static std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

  // Every shard stays open; the usual limit of 1024 is a soft one.
  static void allow_open_files(std::size_t shards) {
    constexpr rlim_t kOthers = 256;
    rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    const rlim_t wanted = std::min<rlim_t>(limit.rlim_max, shards + kOthers);
    if (limit.rlim_cur >= wanted) return;
    limit.rlim_cur = wanted;
    setrlimit(RLIMIT_NOFILE, &limit);  // opening says when it did not help
  }

  SampleTable table_;
  std::vector<std::unique_ptr<FileReader>> files_;
};

// Headers lie an image apart: on a network file system the time is waiting, so
// shards are scanned side by side.
std::vector<ShardSamples> scan_shards(const std::vector<std::string>& shards,
                                      const ImageKey& key) {
  constexpr std::size_t kThreads = 16;
  std::vector<ShardSamples> tables(shards.size());
  std::vector<std::exception_ptr> failures(shards.size());
  std::vector<std::thread> threads;
  const std::size_t count = std::min(kThreads, shards.size());
  const auto work = [&](std::size_t first) {
    for (std::size_t i = first; i < shards.size(); i += count) try {
        tables[i] = scan_shard(shards[i], key);
      } catch (...) {
        failures[i] = std::current_exception();
        return;
      }
  };
  for (std::size_t t = 1; t < count; ++t) threads.emplace_back(work, t);
  work(0);
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& failure : failures)
    if (failure) std::rethrow_exception(failure);
  return tables;
}

// What is said of a whole set, in the order of the lines.
class Notes {
 public:
  void add(const Tally& tally, std::string_view one, std::string_view several,
           std::string_view advice = "") {
    if (tally.count == 0) return;
    lines.push_back(fmt::format("{} {} ({}){}{}", tally.count,
                                tally.count == 1 ? one : several, tally.list(),
                                advice.empty() ? "" : "; ", advice));
  }

  std::vector<std::string> lines;
};

// One table of all shards.
class Joined {
 public:
  Joined(const std::string& path, const ImageKey& key) : path_(path), key_(key) {}

  void add(ShardSamples part, const std::string& shard) {
    const std::string file = fs::path(shard).filename().string();
    if (part.table.size() == 0) empty_.add(one_line(file));
    if (!part.marked && part.table.size() > 0) unmarked_.add(one_line(file));
    if (part.rest > 0)
      rest_.add(fmt::format("{} of {}", part.rest, one_line(file)));
    for (const auto tally : kTallies) (all_.*tally).add(part.*tally);
    all_.numbered += part.numbered;
    rename(part);
    table.names.add(part.table.names);
    const auto append = [](auto& to, const auto& from) {
      to.insert(to.end(), from.begin(), from.end());
    };
    append(table.labels, part.table.labels);
    append(table.offset, part.table.offset);
    append(table.bytes, part.table.bytes);
    table.shard.insert(table.shard.end(), part.table.names.size(),
                       static_cast<std::uint32_t>(table.shards.size()));
    table.shards.push_back(shard);
  }

  void finish(const ShardListing& listing) {
    if (table.size() == 0) refuse();
    Notes notes;
    notes.add(listing.compressed, "compressed archive is left out",
              "compressed archives are left out", "unpack them to .tar");
    notes.add(listing.unfinished, "unfinished download is left out",
              "unfinished downloads are left out");
    notes.add(listing.pictures, "picture beside the shards is left out",
              "pictures beside the shards are left out");
    notes.add(empty_, "shard has no image", "shards have no image");
    notes.add(unmarked_, "shard has no end mark", "shards have no end mark",
              "cut short?");
    notes.add(rest_, "shard has bytes after its end that are no archive",
              "shards have bytes after their end that are no archive");
    notes.add(all_.others, "image is not used, as its sample has another",
              "images are not used, as their samples have another",
              "PATH#rgb.jpg chooses KEY.rgb.jpg, PATH#all takes all");
    notes.add(all_.no_image, "sample has no image", "samples have no image",
              key_.by_rule() || key_.all()
                  ? fmt::format("expected {}; PATH#SUFFIX takes KEY.SUFFIX for "
                                "the image", kReadExtensions)
                  : "expected what follows # in the path");
    notes.add(all_.unread, "sample is left out, its format is not read",
              "samples are left out, their formats are not read",
              fmt::format("convert them to {}", kReadFormats));
    notes.add(all_.nameless, "image without an extension in its name is left out",
              "images without an extension in their names are left out");
    notes.add(all_.repeated, "file is left out, its sample has one of that name",
              "files are left out, their samples have one of that name");
    notes.add(all_.apart, "sample has the key of another in its shard",
              "samples have the key of another in their shard",
              "files of one sample must follow each other (tar --sort=name)");
    notes.add(all_.links, "link is left out", "links are left out");
    notes.add(all_.sparse, "sparse file is left out", "sparse files are left out");
    notes.add(all_.meta, "image is left out, in a folder of the format's own",
              "images are left out, in folders of the format's own",
              "names as __x__ are");
    notes.add(all_.system, "image is left out, in a folder of an operating system",
              "images are left out, in folders of operating systems");
    table.notes = std::move(notes.lines);
    settle_labels();
  }

  SampleTable table;

 private:
  static constexpr std::array kTallies{
      &ShardSamples::no_image, &ShardSamples::unread, &ShardSamples::others,
      &ShardSamples::nameless, &ShardSamples::repeated, &ShardSamples::apart,
      &ShardSamples::links,    &ShardSamples::sparse, &ShardSamples::meta,
      &ShardSamples::system,   &ShardSamples::bad_label};

  [[noreturn]] void refuse() const {
    const auto why = [](const Tally& tally, std::string_view what) {
      return tally.count == 0 ? ""
                              : fmt::format("; {}: {} ({})", what, tally.count,
                                            tally.list());
    };
    throw error(ExitCode::kData,
                "[dataset] {} has no image in {} archive{}: expected KEY{}{}{}{}{}{}",
                path_, table.shards.size(), table.shards.size() == 1 ? "" : "s",
                key_.by_rule() ? kReadExtensions : " as chosen by #",
                why(all_.no_image, "samples without one"),
                why(all_.unread, "of formats that are not read"),
                why(all_.system, "in folders of operating systems"),
                why(all_.nameless, "without an extension in the name"),
                why(all_.links, "links"));
  }

  // Names of classes get the numbers that they have in named_.
  void rename(ShardSamples& part) {
    std::vector<int> ids;
    for (std::string& name : part.named)
      // Past the limit no name counts: a million captions need not be kept.
      ids.push_back(named_.size() > kMostClasses
                        ? 0
                        : named_.try_emplace(std::move(name), std::ssize(named_))
                              .first->second);
    for (int& label : part.table.labels)
      if (label < -1) label = -2 - ids[static_cast<std::size_t>(-2 - label)];
  }

  // Numbers as they are; names sorted; nothing where the set has both.
  void settle_labels() {
    Notes notes;
    notes.add(all_.bad_label, ".cls file holds neither a class number nor a name",
              ".cls files hold neither a class number nor a name",
              fmt::format("expected 0 to {}, or a line of text",
                          kMostClasses - 1));
    std::vector<int> order;  // of a name, by its number in named_
    const bool mixed = !named_.empty() && all_.numbered > 0;
    const bool many = named_.size() > kMostClasses;
    if (mixed || many) {
      notes.lines.push_back(
          mixed ? fmt::format("no labels, as {} are numbers and others names ({})",
                              all_.numbered, in_quotes(named_.begin()->first))
                : fmt::format("no labels, as they are more than {} different names",
                              kMostClasses));
      order.assign(named_.size(), -1);
    } else {
      order.resize(named_.size());
      for (const auto& [name, id] : named_) {
        order[static_cast<std::size_t>(id)] =
            static_cast<int>(table.classes.size());
        table.classes.push_back(name);
      }
    }
    Tally none;
    for (std::size_t i = 0; i < table.labels.size(); ++i) {
      int& label = table.labels[i];
      if (label < -1) label = order[static_cast<std::size_t>(-2 - label)];
      else if (mixed) label = -1;
      if (label == -1) none.add(one_line(table.names[i]));
    }
    if (none.count < table.size())
      notes.add(none, "image has no label", "images have no label");
    table.label_notes = std::move(notes.lines);
  }

  const std::string path_;
  const ImageKey& key_;
  ShardSamples all_;  // the tallies of all
  Tally empty_, unmarked_, rest_;
  std::map<std::string, int> named_;
};

// Names for the classes that are numbers.
void name_classes(SampleTable& table) {
  const int most = *std::ranges::max_element(table.labels);
  if (most >= 0 && table.classes.empty())
    table.classes = read_class_names(
        fs::path(table.shards.front()).parent_path() / "classes.txt", most + 1);
}

SampleTable scan_all(const std::string& path, const ImageKey& key,
                     IndexCache& cache) {
  ShardListing listing;
  if (fs::is_directory(path)) {
    cache.watch(path);
    listing = shards_in(path);
  } else {
    listing.shards = expand_pattern(path);
  }
  if (listing.shards.empty())
    throw error(ExitCode::kData, "[dataset] {}: no .tar file in it{}", path,
                listing.compressed.count == 0
                    ? ""
                    : fmt::format(", but {} compressed ones ({}): unpack them, "
                                  "as by gunzip, zstd -d, unxz or bunzip2",
                                  listing.compressed.count,
                                  listing.compressed.list()));
  for (const std::string& shard : listing.shards) cache.watch(shard);
  Joined joined(path, key);
  std::vector<ShardSamples> parts = scan_shards(listing.shards, key);
  for (std::size_t s = 0; s < parts.size(); ++s)
    joined.add(std::exchange(parts[s], {}), listing.shards[s]);
  joined.finish(listing);
  return std::move(joined.table);
}

// Folders that may lie among shards: of a run, of features, of a system.
bool beside_shards(const fs::path& folder) {
  return is_system_folder(folder.filename().string()) ||
         is_own_output(folder);
}

}  // namespace

void say(const std::string& path, const std::vector<std::string>& lines) {
  if (!spdlog::should_log(spdlog::level::warn)) return;
  static std::mutex mutex;
  static std::set<std::string> said;
  const std::lock_guard lock(mutex);
  for (const std::string& line : lines)
    if (said.insert(path + ": " + line).second)
      spdlog::warn("[dataset] {}: {}", path, line);
}

bool is_own_output(const fs::path& folder) {
  return fs::exists(folder / "config.toml") || fs::exists(folder / "info.json");
}

bool looks_like_shards(const std::string& path) {
  if (!fs::is_directory(path))
    return is_shard_name(path) || is_compressed_name(path) ||
           is_shard_pattern(path);
  constexpr std::int64_t kEnough = 10'000;
  std::int64_t shards = 0, images = 0;  // an archive may lie among images
  for (const auto& entry : fs::directory_iterator(path)) {
    const std::string name = entry.path().filename().string();
    if (name.front() == '.') continue;
    if (entry.is_directory()) {
      if (!beside_shards(entry.path())) return false;
      continue;
    }
    if (is_shard_name(name) || is_compressed_name(name)) ++shards;
    else if (kind_of_extension(extension_of(name)) == NameKind::kImage) ++images;
    if (images - shards > kEnough) return false;
  }
  return shards > images;
}

std::unique_ptr<Dataset> open_shards(const std::string& path,
                                     const std::string& key, bool labels) {
  const ImageKey image_key(key);
  IndexCache cache(key.empty() ? "shards" : "shards#" + key, path);
  std::optional<SampleTable> table = cache.load();
  if (!table) {
    table = scan_all(path, image_key, cache);
    check_size(*table, path);
    cache.save(*table);
  }
  name_classes(*table);
  say(path, table->notes);
  if (labels) say(path, table->label_notes);
  return std::make_unique<ShardDataset>(std::move(*table));
}

}  // namespace music::data
