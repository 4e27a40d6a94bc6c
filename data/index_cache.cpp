#include "data/index_cache.h"

#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "engine/core/error.h"
#include "engine/core/text.h"
#include "engine/io/safetensors.h"

namespace music::data {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kVersion = "music-index-2";

fs::path cache_folder() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string_view(value ? value : "");
  };
  const std::string_view own = variable("MUSIC_INDEX_CACHE");
  if (own == "off") return {};
  if (!own.empty()) return own;
  if (const auto xdg = variable("XDG_CACHE_HOME"); xdg.starts_with('/'))
    return fs::path(xdg) / "music";
  if (const auto home = variable("HOME"); home.starts_with('/'))
    return fs::path(home) / ".cache" / "music";
  return {};
}

std::string hash_of(std::span<const std::byte> bytes) {
  Xxh3 hash;
  hash.update(bytes);
  return hash.digest().xxh3_128;
}

StringList list_of(const std::vector<std::string>& strings) {
  StringList list;
  for (const std::string& s : strings) list.add(s);
  return list;
}

std::vector<std::string> strings_of(const StringList& list) {
  std::vector<std::string> strings;
  for (std::size_t i = 0; i < list.size(); ++i) strings.emplace_back(list[i]);
  return strings;
}

// The tensors of a file being written; the values outlive it.
class Entries {
 public:
  template <typename T>
  void add(const std::string& name, DType dtype, const std::vector<T>& values) {
    add(name, dtype, std::as_bytes(std::span(values)));
  }
  void add(const std::string& name, const StringList& list) {
    add(name + ".text", DType::kU8, std::as_bytes(std::span(list.text())));
    add(name + ".ends", DType::kI64, list.ends());
  }
  const std::vector<TensorEntry>& list() const { return list_; }
  // Of everything added, in order.
  std::string digest() const { return hash_.digest().xxh3_128; }

 private:
  void add(const std::string& name, DType dtype,
           std::span<const std::byte> bytes) {
    const auto count = static_cast<std::int64_t>(bytes.size() / size_of(dtype));
    list_.push_back({name, dtype, {count}, bytes});
    hash_.update(bytes);
  }

  std::vector<TensorEntry> list_;
  Xxh3 hash_;
};

// The tensors of a file being read, in the order they were added.
class Values {
 public:
  explicit Values(const SafetensorsFile& file) : file_(file) {}

  template <typename T>
  std::vector<T> get(const std::string& name) {
    const std::span<const std::byte> bytes = find(name);
    std::vector<T> values(bytes.size() / sizeof(T));
    if (!bytes.empty())
      std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
    return values;
  }
  StringList strings(const std::string& name) {
    const std::span<const std::byte> text = find(name + ".text");
    return {{reinterpret_cast<const char*>(text.data()), text.size()},
            get<std::uint64_t>(name + ".ends")};
  }
  std::string digest() const { return hash_.digest().xxh3_128; }

 private:
  std::span<const std::byte> find(const std::string& name) {
    const TensorEntry* entry = file_.find(name);
    if (!entry) throw error(ExitCode::kData, "[dataset] no {}", name);
    hash_.update(entry->data);
    return entry->data;
  }

  const SafetensorsFile& file_;
  Xxh3 hash_;
};

}  // namespace

IndexCache::IndexCache(std::string_view kind, const std::string& path)
    : key_(fmt::format("{} {}", kind,
                       fs::absolute(path).lexically_normal().string())) {
  const fs::path folder = cache_folder();
  if (!folder.empty())
    file_ = folder / fmt::format("index-{}.safetensors",
                                 hash_of(std::as_bytes(std::span(key_))));
}

IndexCache::Stamp IndexCache::stamp(const std::string& path) {
  struct stat s;
  if (stat(path.c_str(), &s) != 0) return {};
  return {static_cast<std::int64_t>(s.st_ino), s.st_size,
          s.st_mtim.tv_sec * 1'000'000'000 + s.st_mtim.tv_nsec};
}

void IndexCache::watch(const std::string& path) {
  watched_.add(path);
  stamps_.push_back(stamp(path));
  const std::int64_t now =
      std::chrono::duration_cast<std::chrono::nanoseconds>(
          std::chrono::system_clock::now().time_since_epoch())
          .count();
  constexpr std::int64_t kSettled = 2'000'000'000;  // FAT's, the coarsest time
  settled_ &= stamps_.back()[2] < now - kSettled;
}

SampleTable IndexCache::read() const {
  const SafetensorsFile file = SafetensorsFile::open(file_);
  const auto meta = [&](const char* name) {
    const auto it = file.metadata().find(name);
    return it == file.metadata().end() ? "" : it->second;
  };
  if (meta("version") != kVersion) return {};  // of other rules
  if (meta("key") != key_)
    throw error(ExitCode::kData, "[dataset] made for {}",
                in_quotes(meta("key")));
  Values values(file);
  SampleTable table;
  const StringList watched = values.strings("watched");
  const auto stamps = values.get<Stamp>("stamps");
  table.names = values.strings("names");
  table.labels = values.get<int>("labels");
  table.classes = strings_of(values.strings("classes"));
  table.notes = strings_of(values.strings("notes"));
  table.shards = strings_of(values.strings("shards"));
  table.shard = values.get<std::uint32_t>("shard");
  table.offset = values.get<std::uint64_t>("offset");
  table.bytes = values.get<std::uint64_t>("bytes");
  table.label_notes = strings_of(values.strings("label_notes"));
  if (!consistent(table) || values.digest() != meta("xxh3_128"))
    throw error(ExitCode::kData, "[dataset] damaged");
  bool fresh = watched.size() == stamps.size();
  for (std::size_t i = 0; fresh && i < stamps.size(); ++i)
    fresh = stamp(std::string(watched[i])) == stamps[i];
  if (!fresh) table = {};
  return table;
}

std::optional<SampleTable> IndexCache::load() const {
  std::error_code ignored;
  if (file_.empty() || !fs::exists(file_, ignored)) return std::nullopt;
  try {
    SampleTable table = read();
    if (table.size() > 0) {
      spdlog::debug("[dataset] {} images from {}", table.size(),
                    file_.string());
      return table;
    }
  } catch (const Error& e) {
    spdlog::warn("[dataset] {}: {}; listing the images anew", file_.string(),
                 e.what());
  }
  return std::nullopt;
}

void IndexCache::save(const SampleTable& table) const {
  if (file_.empty() || !settled_ || table.size() < kWorthwhile) return;
  const StringList classes = list_of(table.classes),
                   shards = list_of(table.shards),
                   notes = list_of(table.notes),
                   label_notes = list_of(table.label_notes);
  Entries entries;
  entries.add("watched", watched_);
  entries.add("stamps", DType::kI64, stamps_);
  entries.add("names", table.names);
  entries.add("labels", DType::kI32, table.labels);
  entries.add("classes", classes);
  entries.add("notes", notes);
  entries.add("shards", shards);
  entries.add("shard", DType::kI32, table.shard);
  entries.add("offset", DType::kI64, table.offset);
  entries.add("bytes", DType::kI64, table.bytes);
  entries.add("label_notes", label_notes);
  try {
    fs::create_directories(file_.parent_path());
    write_safetensors(file_, entries.list(),
                      {{"version", std::string(kVersion)},
                       {"key", key_},
                       {"xxh3_128", entries.digest()}});
  } catch (const std::exception& e) {
    spdlog::debug("[dataset] cannot keep the index: {}", e.what());
  }
}

}  // namespace music::data
