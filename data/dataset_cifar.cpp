// CIFAR-10 and CIFAR-100, binary version (www.cs.toronto.edu/~kriz/cifar.html):
// records of label bytes and 32 x 32 red, green and blue planes. CIFAR-100 has
// two labels a record; the second, of 100 classes, is used. Held in memory.

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <utility>

#include <spdlog/spdlog.h>

#include "data/dataset_files.h"
#include "data/foreign_data.h"
#include "data/tally.h"
#include "engine/core/counted.h"
#include "engine/core/error.h"

namespace music::data {
namespace {

namespace fs = std::filesystem;

constexpr int kSide = 32;
constexpr std::size_t kPlane = kSide * kSide, kPixels = 3 * kPlane;

struct Version {
  const char* name;
  const char* folder;
  std::size_t labels;  // bytes before the pixels; the last is the class
  int classes;
  const char* class_names;
  std::vector<std::string> train, test;
  std::string python;  // a file of the Python version
  // Where the file of names did not come along, so that a test set of another kind
  // is not matched by number.
  std::vector<std::string> known_names;
};

const Version& version_of(DatasetFormat format) {
  static const Version ten{
      "CIFAR-10", "cifar-10-batches-bin", 1, 10, "batches.meta.txt",
      {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
       "data_batch_4.bin", "data_batch_5.bin"},
      {"test_batch.bin"}, "data_batch_1",
      {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship",
       "truck"}};
  static const Version hundred{
      "CIFAR-100", "cifar-100-binary", 2, 100, "fine_label_names.txt",
      {"train.bin"}, {"test.bin"}, "meta", {}};
  return format == DatasetFormat::kCifar10 ? ten : hundred;
}

fs::path batch_folder(const fs::path& path, const Version& version) {
  fs::path at = path;  // unpackers make a folder of the archive's name around it
  while (fs::is_directory(at / version.folder)) at /= version.folder;
  return at;
}

std::size_t record_bytes(const Version& version) { return version.labels + kPixels; }

// By its size, to a chance of 1 in 3000.
bool is_records(const fs::path& file, const Version& version) {
  std::error_code failure;
  const std::uintmax_t size = fs::file_size(file, failure);
  return !failure && size > 0 && size % record_bytes(version) == 0;
}

class Cifar : public Dataset {
 public:
  Cifar(const Version& version, const fs::path& folder, Split split)
      : version_(version), labels_matter_(split != Split::kPretrain) {
    classes_ = fs::exists(folder / version.class_names) || version.known_names.empty()
                   ? read_class_names(folder / version.class_names, version.classes)
                   : version.known_names;
  }

  // One file of records; pixels are interleaved here, once.
  void add(const fs::path& path) {
    const std::size_t record_bytes = music::data::record_bytes(version_);
    std::error_code failure;
    const std::uintmax_t size = fs::file_size(path, failure);
    std::ifstream stream(path, std::ios::binary);
    if (failure || !stream)
      throw error(ExitCode::kData, "[dataset] cannot read {}", path.string());
    if (size == 0 || size % record_bytes != 0)
      throw error(ExitCode::kData,
                  "[dataset] {} is {} bytes, expected a multiple of {} "
                  "({} records){}",
                  path.string(), size, record_bytes, version_.name,
                  but_is(path.string()));
    const std::size_t count = size / record_bytes, first = labels_.size();
    files_.push_back({path.filename().string(), first});
    labels_.resize(first + count);
    pixels_.resize((first + count) * kPixels);
    std::vector<char> record(record_bytes);
    for (std::size_t i = first; i < first + count; ++i) {
      if (!stream.read(record.data(),
                       static_cast<std::streamsize>(record_bytes)))
        throw error(ExitCode::kData, "[dataset] cannot read {}", path.string());
      labels_[i] = static_cast<std::uint8_t>(record[version_.labels - 1]);
      if (labels_[i] >= version_.classes) {
        if (labels_matter_)
          throw error(ExitCode::kData,
                      "[dataset] {}: record {} has label {}, expected 0 to {}",
                      path.string(), i - first, labels_[i],
                      version_.classes - 1);
        out_of_range_.add(fmt::format("{} of {}", labels_[i], name_of(i)));
      }
      const char* in = record.data() + version_.labels;
      std::uint8_t* out = pixels_.data() + i * kPixels;
      for (std::size_t p = 0; p < kPlane; ++p)
        for (std::size_t c = 0; c < 3; ++c)
          out[3 * p + c] = static_cast<std::uint8_t>(in[c * kPlane + p]);
    }
  }

  std::int64_t size() const override {
    return static_cast<std::int64_t>(labels_.size());
  }
  const std::vector<std::string>& classes() const override { return classes_; }
  int label(std::int64_t i) const override {
    const int label = labels_[static_cast<std::size_t>(i)];
    return label < version_.classes ? label : -1;
  }
  std::string name(std::int64_t i) const override {
    return name_of(static_cast<std::size_t>(i));
  }
  // Labels that are no class's, where they do not matter.
  const Tally& out_of_range() const { return out_of_range_; }
  void read(std::int64_t i, Image& image) const override {
    image.borrow(pixels_.data() + static_cast<std::size_t>(i) * kPixels, kSide,
                 kSide);
  }

 private:
  struct File {
    std::string name;
    std::size_t first;  // number of its first image
  };

  std::string name_of(std::size_t at) const {
    const auto file =
        std::find_if(files_.rbegin(), files_.rend(),
                     [at](const File& f) { return f.first <= at; });
    return fmt::format("{}:{}", file->name, at - file->first);
  }

  const Version& version_;
  const bool labels_matter_;
  Tally out_of_range_;
  std::vector<File> files_;
  std::vector<std::string> classes_;
  std::vector<std::uint8_t> labels_, pixels_;
};

}  // namespace

std::vector<std::string> read_class_names(const fs::path& path, int classes) {
  const auto count = static_cast<std::size_t>(classes);
  std::vector<std::string> names;
  std::ifstream stream(path);
  for (std::string line; std::getline(stream, line);) {
    if (names.empty() && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (!line.empty()) names.push_back(line);
  }
  if (names.size() >= count) return names;
  names.clear();
  for (int c = 0; c < classes; ++c) names.push_back(std::to_string(c));
  return names;
}

bool looks_like_cifar(const std::string& path, DatasetFormat format) {
  const Version& version = version_of(format);
  const fs::path folder = batch_folder(path, version);
  if (folder != fs::path(path)) return true;
  // CIFAR-100's file names could be anybody's.
  if (format == DatasetFormat::kCifar100) {
    const bool named = fs::is_regular_file(folder / version.class_names);
    return std::ranges::any_of(
        std::array{version.train.front(), version.test.front()},
        [&](const std::string& name) {
          return named ? fs::is_regular_file(folder / name)
                       : is_records(folder / name, version);
        });
  }
  const auto has = [&](const std::string& name) {
    return fs::is_regular_file(folder / name);
  };
  return std::any_of(version.train.begin(), version.train.end(), has) ||
         has(version.test.front()) || has(version.python);
}

std::unique_ptr<Dataset> open_cifar(const std::string& path,
                                    DatasetFormat format, Split split) {
  const Version& version = version_of(format);
  const fs::path folder = batch_folder(path, version);
  const auto& names = split == Split::kTest ? version.test : version.train;
  auto dataset = std::make_unique<Cifar>(version, folder, split);
  std::string missing;
  for (const std::string& name : names)
    if (fs::is_regular_file(folder / name)) dataset->add(folder / name);
    else missing += (missing.empty() ? "" : ", ") + name;
  if (dataset->size() > 0) {
    if (!missing.empty())
      spdlog::warn("[dataset] {}: {} of {} not there; {}", folder.string(),
                   missing, version.name, counted(dataset->size(), "image"));
    if (const Tally& wrong = dataset->out_of_range(); wrong.count > 0)
      spdlog::warn("[dataset] {}: {} out of range ({}), which may tell of damage; "
                   "expected 0 to {}", folder.string(), wrong.of("label"),
                   wrong.list(), version.classes - 1);
    return dataset;
  }
  const std::string download = downloaded_records(folder.string());
  if (!download.empty()) throw error(ExitCode::kData, "[dataset] {}", download);
  throw error(ExitCode::kData, "[dataset] {}: expected {}{} of {}",
              folder.string(), names.front(),
              names.size() > 1 ? " to " + names.back() : "", version.name);
}

}  // namespace music::data
