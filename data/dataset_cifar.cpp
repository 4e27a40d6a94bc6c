// CIFAR-10, binary version: records of one label byte and 32 x 32 red, green
// and blue planes (www.cs.toronto.edu/~kriz/cifar.html). Held in memory.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <utility>

#include "data/dataset_files.h"
#include "engine/core/error.h"

namespace music::data {
namespace {

namespace fs = std::filesystem;

constexpr int kSide = 32, kClasses = 10;
constexpr std::size_t kPlane = kSide * kSide, kPixels = 3 * kPlane;
constexpr std::size_t kRecord = 1 + kPixels;
constexpr const char* kFolder = "cifar-10-batches-bin";

fs::path batch_folder(const fs::path& path) {
  return fs::is_directory(path / kFolder) ? path / kFolder : path;
}

class Cifar10 : public Dataset {
 public:
  explicit Cifar10(const fs::path& folder) { read_names(folder); }

  // One file of records; pixels are interleaved here, once.
  void add(const fs::path& path) {
    std::error_code failure;
    const std::uintmax_t size = fs::file_size(path, failure);
    std::ifstream stream(path, std::ios::binary);
    if (failure || !stream)
      throw error(ExitCode::kData, "[dataset] cannot read {}", path.string());
    if (size == 0 || size % kRecord != 0)
      throw error(ExitCode::kData,
                  "[dataset] {} is {} bytes, expected a multiple of {} "
                  "(CIFAR-10 records)",
                  path.string(), size, kRecord);
    const std::size_t count = size / kRecord, first = labels_.size();
    files_.push_back({path.filename().string(), first});
    labels_.resize(first + count);
    pixels_.resize((first + count) * kPixels);
    std::vector<char> record(kRecord);
    for (std::size_t i = first; i < first + count; ++i) {
      if (!stream.read(record.data(), kRecord))
        throw error(ExitCode::kData, "[dataset] cannot read {}", path.string());
      labels_[i] = static_cast<std::uint8_t>(record[0]);
      if (labels_[i] >= kClasses)
        throw error(ExitCode::kData,
                    "[dataset] {}: record {} has label {}, expected 0 to {}",
                    path.string(), i - first, labels_[i], kClasses - 1);
      std::uint8_t* out = pixels_.data() + i * kPixels;
      for (std::size_t p = 0; p < kPlane; ++p)
        for (std::size_t c = 0; c < 3; ++c)
          out[3 * p + c] =
              static_cast<std::uint8_t>(record[1 + c * kPlane + p]);
    }
  }

  std::int64_t size() const override {
    return static_cast<std::int64_t>(labels_.size());
  }
  const std::vector<std::string>& classes() const override { return classes_; }
  int label(std::int64_t i) const override {
    return labels_[static_cast<std::size_t>(i)];
  }
  std::string name(std::int64_t i) const override {
    const auto at = static_cast<std::size_t>(i);
    const auto file =
        std::find_if(files_.rbegin(), files_.rend(),
                     [at](const File& f) { return f.first <= at; });
    return fmt::format("{}:{}", file->name, at - file->first);
  }
  void read(std::int64_t i, Image& image) const override {
    image.borrow(pixels_.data() + static_cast<std::size_t>(i) * kPixels, kSide,
                 kSide);
  }

 private:
  struct File {
    std::string name;
    std::size_t first;  // number of its first image
  };

  void read_names(const fs::path& folder) {
    std::ifstream stream(folder / "batches.meta.txt");
    for (std::string line; std::getline(stream, line);) {
      if (!line.empty() && line.back() == '\r') line.pop_back();
      if (!line.empty()) classes_.push_back(line);
    }
    if (classes_.size() == kClasses) return;
    classes_.clear();
    for (int c = 0; c < kClasses; ++c) classes_.push_back(std::to_string(c));
  }

  std::vector<File> files_;
  std::vector<std::string> classes_;
  std::vector<std::uint8_t> labels_, pixels_;
};

}  // namespace

bool looks_like_cifar10(const std::string& path) {
  const fs::path folder = batch_folder(path);
  for (const char* name :
       {"data_batch_1.bin", "test_batch.bin", "data_batch_1"})
    if (fs::is_regular_file(folder / name)) return true;
  return folder != fs::path(path);
}

std::unique_ptr<Dataset> open_cifar10(const std::string& path, Split split) {
  const fs::path folder = batch_folder(path);
  std::vector<fs::path> batches;
  if (split == Split::kTest) {
    batches.push_back(folder / "test_batch.bin");
  } else {
    for (int b = 1; b <= 5; ++b)
      batches.push_back(folder / fmt::format("data_batch_{}.bin", b));
  }
  std::erase_if(batches, [](const auto& b) { return !fs::is_regular_file(b); });
  if (batches.empty())
    throw error(ExitCode::kData, "[dataset] {}: expected {} of CIFAR-10{}",
                folder.string(),
                split == Split::kTest ? "test_batch.bin"
                                      : "data_batch_1.bin to data_batch_5.bin",
                fs::is_regular_file(folder / "data_batch_1")
                    ? "'s binary version, found its Python version"
                    : "");
  auto dataset = std::make_unique<Cifar10>(folder);
  for (const fs::path& batch : batches) dataset->add(batch);
  return dataset;
}

}  // namespace music::data
