#include "data/dataset.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <set>
#include <utility>

#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include "data/dataset_files.h"
#include "data/decode.h"
#include "data/folder_names.h"
#include "data/foreign_data.h"
#include "data/sampler.h"
#include "data/shard_paths.h"
#include "data/tally.h"
#include "engine/core/error.h"
#include "engine/core/text.h"

namespace music::data {
namespace {

namespace fs = std::filesystem;

// Of a set that is its own, or stays.
class Subset : public Dataset {
 public:
  Subset(std::unique_ptr<Dataset> whole, std::vector<std::uint32_t> chosen)
      : owned_(std::move(whole)), whole_(owned_.get()), chosen_(std::move(chosen)) {}
  Subset(const Dataset& whole, std::vector<std::uint32_t> chosen)
      : whole_(&whole), chosen_(std::move(chosen)) {}

  std::int64_t size() const override {
    return static_cast<std::int64_t>(chosen_.size());
  }
  const std::vector<std::string>& classes() const override {
    return whole_->classes();
  }
  int label(std::int64_t i) const override { return whole_->label(at(i)); }
  std::string name(std::int64_t i) const override {
    return whole_->name(at(i));
  }
  void read(std::int64_t i, Image& image) const override {
    whole_->read(at(i), image);
  }
  bool read_file(std::int64_t i,
                 std::vector<std::uint8_t>& bytes) const override {
    return whole_->read_file(at(i), bytes);
  }

 private:
  std::int64_t at(std::int64_t i) const {
    return chosen_[static_cast<std::size_t>(i)];
  }

  std::unique_ptr<Dataset> owned_;
  const Dataset* whole_;
  std::vector<std::uint32_t> chosen_;
};

// folder/val or folder/test; empty where there is neither.
fs::path test_folder(const fs::path& folder) {
  for (const char* name : {"val", "test"})
    if (fs::is_directory(folder / name)) return folder / name;
  return {};
}

// There is train/ and no other folder that could be a class.
bool has_only_train(const fs::path& folder) {
  if (!fs::is_directory(folder / "train")) return false;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_directory() && name != "train" && !is_system_folder(name)) return false;
  }
  return true;
}

// The folder itself, or its part for the split where it has train/ and val/.
fs::path split_folder(const fs::path& folder, Split split) {
  const fs::path train = folder / "train";
  const fs::path test = test_folder(folder);
  if (split == Split::kTest) {
    if (!test.empty()) return test;
    throw error(ExitCode::kData,
                "[dataset] {} has no test split: expected a folder val or test "
                "in it, or CIFAR or STL-10 binary files",
                folder.string());
  }
  if (fs::is_directory(train) && !test.empty()) return train;
  // Without labels the images are the same.
  const bool alone = (split == Split::kTrain || looks_like_shards(train.string())) &&
                     has_only_train(folder);
  return alone ? train : folder;
}

DatasetFormat guess(const std::string& path, bool folder, Split split) {
  if (!folder)
    return looks_like_shards(path) ? DatasetFormat::kWebDataset
                                   : DatasetFormat::kList;
  const bool ten = looks_like_cifar(path, DatasetFormat::kCifar10),
             hundred = looks_like_cifar(path, DatasetFormat::kCifar100);
  if (ten && hundred)
    spdlog::warn("[dataset] {} holds CIFAR-10 and CIFAR-100, CIFAR-10 is taken; for the "
                 "other give its folder", path);
  if (ten) return DatasetFormat::kCifar10;
  if (hundred) return DatasetFormat::kCifar100;
  if (looks_like_stl10(path)) return DatasetFormat::kStl10;
  return looks_like_shards(split_folder(path, split).string())
             ? DatasetFormat::kWebDataset
             : DatasetFormat::kFolder;
}

// The same, and says what it leaves out when it is for learning.
std::string chosen_folder(const fs::path& folder, Split split) {
  const fs::path chosen = split_folder(folder, split);
  if (split == Split::kPretrain && chosen != folder) {
    std::set<std::string, std::greater<>> others;  // val before test
    for (const auto& entry : fs::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      if (name != "train" && !split_of(name).empty() && entry.is_directory())
        others.insert(name);
    }
    if (!others.empty())
      spdlog::info("[dataset] {}: learns from train, not from {}", folder.string(),
                   fmt::join(others, " and "));
  }
  return chosen.string();
}

// Says what lies beside records of CIFAR or STL-10 and could be meant for images.
void say_beside_records(const fs::path& folder) {
  std::set<std::string> folders, pictures;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (is_system_folder(name)) continue;
    if (!entry.is_directory()) {
      if (kind_of_extension(extension_of(name)) == NameKind::kImage) pictures.insert(name);
    } else if (!name.starts_with("cifar-") && !name.starts_with("stl10_") &&
               !is_own_output(entry.path())) {
      folders.insert(name);
    }
  }
  for (const auto& [names, one] : {std::pair{&pictures, "picture"}, {&folders, "folder"}}) {
    Tally tally;
    for (const std::string& name : *names) tally.add(one_line(name));
    if (tally.count > 0)
      say(folder.string(),
          {fmt::format("{} beside the records of CIFAR or STL-10 left out ({})",
                       tally.of(one), tally.list())});
  }
}

std::unique_ptr<Dataset> open(const std::string& given, DatasetFormat format,
                              Split split) {
  const auto [path, key] = split_shard_path(given);
  std::error_code ignored;
  const fs::file_status status = fs::status(path, ignored);
  const bool pattern = is_shard_pattern(path);
  if (!fs::exists(status) && !pattern)
    throw error(ExitCode::kData,
                "[dataset] {}: no such file or folder; expected images in "
                "folders, a list file, tar shards, CIFAR or STL-10{}",
                path, path.starts_with("~") ? " (~ is for the shell, which leaves it "
                                              "inside --data=...)" : "");
  const bool folder = fs::is_directory(status);
  if (format == DatasetFormat::kAuto) {
    format = guess(path, folder, split);
    const std::string download =
        format == DatasetFormat::kWebDataset ? downloaded_records(path) : "";
    if (!download.empty()) throw error(ExitCode::kData, "[dataset] {}", download);
  }
  const bool either = format == DatasetFormat::kWebDataset;
  if (!either && !key.empty())
    throw error(ExitCode::kData,
                "[dataset] {}: # chooses the image in tar shards, and {} has "
                "none", given, path);
  if (!either && folder == (format == DatasetFormat::kList))
    throw error(ExitCode::kData, "[dataset] {} is a {}, expected a {}", path,
                folder ? "folder" : "file",
                folder ? "text file listing images" : "folder");
  if (!folder && split == Split::kTest)
    throw error(ExitCode::kData,
                "[dataset] {}: a {} has no test split, expected one of its own "
                "for it",
                path, either ? "set of shards" : "list");
  const bool records = format == DatasetFormat::kCifar10 ||
                       format == DatasetFormat::kCifar100 || format == DatasetFormat::kStl10;
  if (records && split != Split::kTest) say_beside_records(path);
  switch (format) {
    case DatasetFormat::kCifar10:
    case DatasetFormat::kCifar100: return open_cifar(path, format, split);
    case DatasetFormat::kStl10: return open_stl10(path, split);
    case DatasetFormat::kList: return open_list(path, split);
    case DatasetFormat::kWebDataset:
      return open_shards(folder ? chosen_folder(path, split) : path, key,
                         split != Split::kPretrain);
    default: return open_folder(chosen_folder(path, split), split);
  }
}

}  // namespace

void Dataset::read(std::int64_t i, Image& image) const {
  static thread_local std::vector<std::uint8_t> bytes;
  MUSIC_CHECK(read_file(i, bytes), "[dataset] {} is not a file", name(i));
  decode_image(bytes, image);
}

bool Dataset::read_file(std::int64_t, std::vector<std::uint8_t>&) const {
  return false;
}

std::unique_ptr<Dataset> open_dataset(const std::string& path,
                                      DatasetFormat format, Split split) {
  try {
    return open(path, format, split);
  } catch (const fs::filesystem_error& failure) {
    throw error(ExitCode::kData, "[dataset] {}: {}", failure.path1().string(),
                failure.code().message());
  }
}

std::unique_ptr<Dataset> pick(std::unique_ptr<Dataset> dataset,
                              std::vector<std::uint32_t> numbers) {
  return std::make_unique<Subset>(std::move(dataset), std::move(numbers));
}

bool has_test_split(const std::string& given, DatasetFormat format) {
  const std::string path = split_shard_path(given).path;
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) return false;
  const auto is = [&](DatasetFormat f, bool looks) {
    return format == f || (format == DatasetFormat::kAuto && looks);
  };
  return is(DatasetFormat::kCifar10, looks_like_cifar(path, DatasetFormat::kCifar10)) ||
         is(DatasetFormat::kCifar100, looks_like_cifar(path, DatasetFormat::kCifar100)) ||
         is(DatasetFormat::kStl10, looks_like_stl10(path)) ||
         !test_folder(path).empty();
}

std::unique_ptr<Dataset> subset(std::unique_ptr<Dataset> dataset,
                                std::int64_t n, std::uint64_t seed) {
  if (n <= 0 || n >= dataset->size()) return dataset;
  // A key of its own, which no epoch reaches.
  std::vector<std::uint32_t> chosen =
      permutation(dataset->size(), seed, 0xFFFFFFFFu);
  chosen.resize(static_cast<std::size_t>(n));
  std::sort(chosen.begin(), chosen.end());
  return pick(std::move(dataset), std::move(chosen));
}

std::unique_ptr<Dataset> view(const Dataset& whole,
                              std::vector<std::uint32_t> chosen) {
  return std::make_unique<Subset>(whole, std::move(chosen));
}

}  // namespace music::data
