#include "data/shard_writer.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "data/picture_format.h"
#include "data/png.h"
#include "data/sampler.h"
#include "data/tar.h"
#include "engine/core/error.h"

namespace music::data {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kShuffleKey = 0xFFFFFFFEu;  // no epoch reaches it

// What readers would take for more than a letter of a key: dots end keys,
// spaces the fields of an index, and the name in a tar header ends at a NUL.
void append_plain(std::string& key, std::string_view text) {
  for (const char c : text)
    key += c == '.' || c == '/' || c == ':' || c == '\\' || c == '"' ||
                   (c >= 0 && c <= ' ') || c == 0x7f
               ? '_'
               : c;
}

// Cut to so many bytes, at a letter's end, and told apart by a hash, if longer.
std::string shorten(std::string text, std::size_t most) {
  if (text.size() <= most) return text;
  constexpr std::size_t kHash = 16;
  Xxh3 hash;
  hash.update(std::as_bytes(std::span(text)));
  std::size_t end = most - kHash - 1;
  while (end > 0 && (text[end] & 0xc0) == 0x80) --end;  // within a letter
  return fmt::format("{}_{}", text.substr(0, end),
                     hash.digest().xxh3_128.substr(0, kHash));
}

// Keys of samples: class, if there is one, and file name; so short that a tar
// header has room for the name of a member, and for a number behind the key.
class Keys {
 public:
  std::string make(const Dataset& dataset, std::int64_t i) {
    const std::string name = dataset.name(i);
    std::string_view last = name;
    last.remove_prefix(last.rfind('/') + 1);  // npos + 1 is 0
    const std::string_view extension = last.substr(
        std::min(last.rfind('.'), last.size()));
    if (extension.find(':') == extension.npos)  // not "data_batch_1.bin:7"
      last.remove_suffix(extension.size());
    std::string key, file;
    const auto label = static_cast<std::size_t>(dataset.label(i));
    if (label < dataset.classes().size()) {
      append_plain(key, dataset.classes()[label]);
      // "__x__" is the format's own, which readers pass over.
      if (key.starts_with("__") && key.ends_with("__")) key.erase(0, 1);
      key = shorten(key, TarWriter::kMostFolder) + '/';
    }
    append_plain(file, last);
    key += file.empty() ? "_" : shorten(file, TarWriter::kMostName - kRoom);
    if (taken_.insert(key).second) return key;
    for (int n = 2;; ++n)
      if (std::string other = fmt::format("{}_{}", key, n);
          taken_.insert(other).second)
        return other;
  }

 private:
  static constexpr std::size_t kRoom = 16;  // "_4294967295.webp"

  std::unordered_set<std::string> taken_;
};

// The shards of one set, one open at a time.
class Writer {
 public:
  explicit Writer(const ShardSpec& spec) : spec_(spec) {}

  void add(const std::string& key, std::string_view extension,
           std::span<const std::uint8_t> image, int label) {
    if (!tar_) tar_.emplace(file(".tar"));
    add(key, extension, std::as_bytes(image));
    if (label >= 0) {
      const std::string text = std::to_string(label);
      index_ += ' ';
      add(key, "cls", std::as_bytes(std::span(text)));
    }
    index_ += '\n';
    ++images_;
    if (tar_->size() >= spec_.shard_bytes) finish();
  }

  void finish() {
    if (!tar_) return;
    const FileDigest digest = tar_->commit();
    FileWriter index(file(".idx"));
    index.write(fmt::format("v1.2 {}\n", images_));
    index.write(index_);
    index.commit();
    list_.push_back({{"file", file(".tar").filename().string()},
                     {"images", images_},
                     {"bytes", digest.bytes},
                     {"xxh3_128", digest.xxh3_128}});
    bytes_ += digest.bytes;
    tar_.reset();
    index_.clear();
    images_ = 0;
    ++shards_;
  }

  const nlohmann::ordered_json& list() const { return list_; }
  int shards() const { return shards_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  fs::path file(std::string_view suffix) const {
    return spec_.out / fmt::format("{}-{:06}{}", spec_.name, shards_, suffix);
  }
  void add(const std::string& key, std::string_view extension,
           std::span<const std::byte> bytes) {
    const std::string name = fmt::format("{}.{}", key, extension);
    const std::uint64_t offset = tar_->add(name, bytes);
    index_ += fmt::format("{} {} {} {}", extension, offset, bytes.size(), name);
  }

  const ShardSpec& spec_;
  std::optional<TarWriter> tar_;
  std::string index_;        // lines of the open shard
  std::int64_t images_ = 0;  // in it
  nlohmann::ordered_json list_ = nlohmann::ordered_json::array();
  int shards_ = 0;
  std::uint64_t bytes_ = 0;
};

// The file of image i, which always is of a format that is read afterwards.
PictureFormat load(const Dataset& dataset, std::int64_t i, Image& image,
               std::vector<std::uint8_t>& bytes) {
  if (!dataset.read_file(i, bytes)) {
    dataset.read(i, image);
    bytes = encode_png(image);
  }
  const PictureFormat format = picture_format(bytes);
  if (!is_read(format))
    throw error(ExitCode::kData, "[shards] {}", refusal(bytes));
  return format;
}

void refuse_existing(const ShardSpec& spec) {
  for (const auto& entry : fs::directory_iterator(spec.out)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(spec.name + "-") && name.ends_with(".tar"))
      throw error(ExitCode::kUsage,
                  "[shards] {} has {} already: expected a folder without "
                  "shards of that name",
                  spec.out.string(), name);
  }
}

void write_text(const fs::path& path, std::string_view text) {
  FileWriter file(path);
  file.write(text);
  file.commit();
}

}  // namespace

ShardReport write_shards(const Dataset& dataset, const ShardSpec& spec,
                         const std::function<void(std::int64_t)>& progress) {
  std::error_code failure;
  fs::create_directories(spec.out, failure);
  if (failure) throw_write_error(spec.out, failure.value());
  refuse_existing(spec);

  std::vector<std::uint32_t> order;
  if (spec.shuffle) order = permutation(dataset.size(), spec.seed, kShuffleKey);
  Keys keys;
  Writer writer(spec);
  ShardReport report;
  Image image;
  std::vector<std::uint8_t> bytes;
  for (std::int64_t done = 0; done < dataset.size(); ++done) {
    const std::int64_t i =
        spec.shuffle ? order[static_cast<std::size_t>(done)] : done;
    std::optional<PictureFormat> format;
    try {
      format = load(dataset, i, image, bytes);
    } catch (const Error& e) {
      if (e.code() != ExitCode::kData) throw;
      if (spec.bad_image == BadImage::kAbort)
        throw error(ExitCode::kData, "[shards] {}: {}", dataset.name(i),
                    e.what());
      report.bad.push_back({0, i, dataset.name(i), e.what()});
    }
    if (format) {
      writer.add(keys.make(dataset, i), format_extension(*format), bytes,
                 dataset.label(i));
      ++report.images;
    }
    if (progress) progress(done + 1);
  }
  writer.finish();
  if (report.images == 0)
    throw error(ExitCode::kData, "[shards] no image could be read");
  report.shards = writer.shards();
  report.bytes = writer.bytes();

  if (!dataset.classes().empty()) {
    std::string classes;
    for (const std::string& name : dataset.classes()) classes += name + "\n";
    write_text(spec.out / "classes.txt", classes);
  }
  nlohmann::ordered_json summary{{"images", report.images}};
  if (spec.shuffle) summary["seed"] = spec.seed;
  summary["shards"] = writer.list();
  write_text(spec.out / (spec.name + ".json"), summary.dump(1) + "\n");
  return report;
}

}  // namespace music::data
