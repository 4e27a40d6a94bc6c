// WebDataset shards: plain tar archives in which files that share a name up to
// the first dot of its last part are one sample: "n0144/12.jpg" and
// "n0144/12.cls" (github.com/webdataset/webdataset, its format specification).
// An image is .jpg, .jpeg or .png; .cls holds the class number as text; other
// files are passed over. Images are read by pread at their offsets, so any
// order costs the same.

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <exception>
#include <filesystem>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include "data/dataset_files.h"
#include "data/decode.h"
#include "data/index_cache.h"
#include "data/sample_table.h"
#include "data/tar.h"
#include "engine/core/error.h"
#include "engine/core/text.h"

namespace music::data {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSuffix = ".tar";

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

// "a/b.seg.jpg" is the file "seg.jpg" of sample "a/b".
struct MemberName {
  std::string_view key, extension;
};
MemberName split_name(std::string_view name) {
  const std::size_t base = name.rfind('/') + 1;  // npos + 1 is 0
  const std::size_t dot = name.find('.', base);
  if (dot == name.npos || dot == base) return {};
  return {name.substr(0, dot), name.substr(dot + 1)};
}

bool is_image_extension(std::string_view extension) {
  std::string last(extension.substr(extension.rfind('.') + 1));
  for (char& c : last)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return last == "jpg" || last == "jpeg" || last == "png";
}

int read_class(const FileReader& file, const TarMember& member) {
  std::array<char, 16> text{};
  const auto n = std::min<std::uint64_t>(member.bytes, text.size());
  file.read(member.offset,
            std::as_writable_bytes(std::span(text)).first(n));
  int label = -1;
  const char* end = text.data() + n;
  const auto [rest, failure] = std::from_chars(text.data(), end, label);
  const bool blank = std::all_of(rest, end, [](char c) {
    return c == ' ' || c == '\n' || c == '\r';
  });
  if (failure != std::errc() || !blank || label < 0 || label >= kMostClasses)
    throw error(ExitCode::kData,
                "[dataset] {}: {} holds {}, expected a class number from 0 to "
                "{}",
                file.path().string(), in_quotes(member.name),
                in_quotes({text.data(), n}), kMostClasses - 1);
  return label;
}

// The images of one shard.
SampleTable scan_shard(const std::string& path) {
  const FileReader file(path);
  SampleTable table;
  std::string key;  // of the sample the last member belongs to
  int label = -1;
  std::optional<TarMember> image;
  const auto finish = [&] {
    if (image) {
      table.names.add(image->name);
      table.labels.push_back(label);
      table.offset.push_back(image->offset);
      table.bytes.push_back(image->bytes);
    }
    image.reset();
    label = -1;
  };
  scan_tar(file, [&](const TarMember& member) {
    const MemberName name = split_name(member.name);
    if (name.key.empty()) return;
    if (name.key != key) {
      finish();
      key = name.key;
    }
    if (name.extension == "cls") {
      label = read_class(file, member);
    } else if (!image && is_image_extension(name.extension)) {
      image = member;
    }
  });
  finish();
  return table;
}

// Headers lie an image apart: on a network file system the time is waiting, so
// shards are scanned side by side.
std::vector<SampleTable> scan_shards(const std::vector<std::string>& shards) {
  constexpr std::size_t kThreads = 16;
  std::vector<SampleTable> tables(shards.size());
  std::vector<std::exception_ptr> failures(shards.size());
  std::vector<std::thread> threads;
  const std::size_t count = std::min(kThreads, shards.size());
  const auto work = [&](std::size_t first) {
    for (std::size_t i = first; i < shards.size(); i += count) try {
        tables[i] = scan_shard(shards[i]);
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

// DIR/NAME-{000..146}.tar, or the path itself.
std::vector<std::string> expand(const std::string& path) {
  const std::size_t open = path.find('{'), dots = path.find("..", open),
                    close = path.find('}', dots);
  if (open == path.npos || dots == path.npos || close == path.npos)
    return {path};
  const std::string_view first(path.data() + open + 1, dots - open - 1),
      last(path.data() + dots + 2, close - dots - 2);
  const auto number = [&](std::string_view text) {
    std::uint32_t value = 0;
    const auto [end, failure] =
        std::from_chars(text.data(), text.data() + text.size(), value);
    if (failure != std::errc() || end != text.data() + text.size())
      throw error(ExitCode::kData,
                  "[dataset] {}: expected numbers in braces, as {{000..146}}",
                  path);
    return value;
  };
  const std::uint32_t from = number(first), to = number(last);
  constexpr std::uint32_t kMost = 1'000'000;
  if (to < from || to - from >= kMost)
    throw error(ExitCode::kData, "[dataset] {}: no range of shards", path);
  std::vector<std::string> paths;
  for (std::uint32_t i = from; i <= to; ++i)
    paths.push_back(fmt::format("{}{:0{}}{}", path.substr(0, open), i,
                                first.size(), path.substr(close + 1)));
  return paths;
}

// Shards of one set have names that differ in their numbers alone: with
// train-*.tar and val-*.tar in one folder, both would be learnt from.
std::string skeleton(const std::string& path) {
  std::string out;
  for (const char c : fs::path(path).stem().string()) {
    const char mark = c >= '0' && c <= '9' ? '#' : c;
    if (mark != '#' || !out.ends_with('#')) out += mark;
  }
  return out;
}

std::vector<std::string> shards_in(const fs::path& folder) {
  std::vector<std::string> shards;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == kSuffix &&
        entry.path().filename().string().front() != '.')
      shards.push_back(entry.path().string());
  std::sort(shards.begin(), shards.end());
  for (const std::string& shard : shards)
    if (skeleton(shard) != skeleton(shards.front()))
      throw error(ExitCode::kData,
                  "[dataset] {} has shards of several sets ({}, {}): expected "
                  "one, or a pattern as train-{{000..146}}.tar",
                  folder.string(), fs::path(shards.front()).filename().string(),
                  fs::path(shard).filename().string());
  return shards;
}

SampleTable scan_all(const std::vector<std::string>& shards) {
  std::vector<SampleTable> parts = scan_shards(shards);
  SampleTable table;
  table.shards = shards;
  for (std::size_t s = 0; s < parts.size(); ++s) {
    const SampleTable& part = parts[s];
    if (part.size() == 0)
      throw error(ExitCode::kData,
                  "[dataset] {} has no image: expected .jpg, .jpeg or .png "
                  "files",
                  shards[s]);
    table.names.add(part.names);
    const auto append = [](auto& to, const auto& from) {
      to.insert(to.end(), from.begin(), from.end());
    };
    append(table.labels, part.labels);
    append(table.offset, part.offset);
    append(table.bytes, part.bytes);
    table.shard.insert(table.shard.end(), part.names.size(),
                       static_cast<std::uint32_t>(s));
    parts[s] = {};
  }
  return table;
}

// Class numbers for all images or for none; names for the classes.
void name_classes(SampleTable& table, const std::string& path) {
  const auto [least, most] =
      std::minmax_element(table.labels.begin(), table.labels.end());
  if (*least < 0 && *most >= 0)
    throw error(ExitCode::kData,
                "[dataset] {}: {} has no class number, unlike others", path,
                in_quotes(table.names[static_cast<std::size_t>(
                    least - table.labels.begin())]));
  if (*most >= 0)
    table.classes = read_class_names(
        fs::path(table.shards.front()).parent_path() / "classes.txt",
        *most + 1);
}

}  // namespace

bool looks_like_shards(const std::string& path) {
  if (!fs::is_directory(path))
    return path.ends_with(kSuffix) || path.find('{') != path.npos;
  bool shards = false;
  for (const auto& entry : fs::directory_iterator(path)) {
    const std::string name = entry.path().filename().string();
    if (name.front() == '.') continue;
    if (entry.is_directory()) return false;
    shards |= name.ends_with(kSuffix);
  }
  return shards;
}

std::unique_ptr<Dataset> open_shards(const std::string& path) {
  const bool folder = fs::is_directory(path);
  IndexCache cache("shards", path);
  std::optional<SampleTable> table = cache.load();
  if (!table) {
    if (folder) cache.watch(path);
    const std::vector<std::string> shards =
        folder ? shards_in(path) : expand(path);
    if (shards.empty())
      throw error(ExitCode::kData, "[dataset] {}: no .tar file in it", path);
    for (const std::string& shard : shards) cache.watch(shard);
    table = scan_all(shards);
    check_size(*table, path);
    cache.save(*table);
  }
  name_classes(*table, path);
  return std::make_unique<ShardDataset>(std::move(*table));
}

}  // namespace music::data
