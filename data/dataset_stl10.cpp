// STL-10, binary version (cs.stanford.edu/~acoates/stl10): records of 96 x 96
// red, green and blue planes, each column by column; train_y.bin and test_y.bin
// hold labels 1 to 10, a byte each. unlabeled_X.bin has 100,000 images, 2.8 GB,
// so records are read when asked for.

#include <algorithm>
#include <array>
#include <filesystem>
#include <utility>

#include <spdlog/spdlog.h>

#include "data/dataset_files.h"
#include "data/foreign_data.h"
#include "engine/core/error.h"
#include "engine/io/file.h"

namespace music::data {
namespace {

namespace fs = std::filesystem;

constexpr int kSide = 96, kClasses = 10;
constexpr std::size_t kPlane = kSide * kSide, kRecord = 3 * kPlane;
constexpr const char* kFolder = "stl10_binary";

fs::path binary_folder(const fs::path& path) {
  return fs::is_directory(path / kFolder) ? path / kFolder : path;
}

// A file of images, and their labels.
class Part {
 public:
  explicit Part(const fs::path& path) : file_(path) {
    if (file_.size() == 0 || file_.size() % kRecord != 0)
      throw error(ExitCode::kData,
                  "[dataset] {} is {} bytes, expected a multiple of {} (STL-10 "
                  "records){}",
                  path.string(), file_.size(), kRecord,
                  but_is(path.string()));
  }

  void read_labels(const fs::path& path) {
    const FileReader labels(path);
    if (labels.size() != count())
      throw error(ExitCode::kData,
                  "[dataset] {} has {} labels, {} has {} images",
                  path.string(), labels.size(), file_.path().string(), count());
    labels_.resize(count());
    labels.read(0, std::as_writable_bytes(std::span(labels_)));
    for (std::size_t i = 0; i < labels_.size(); ++i)
      if (labels_[i] < 1 || labels_[i] > kClasses)
        throw error(ExitCode::kData,
                    "[dataset] {}: image {} has label {}, expected 1 to {}",
                    path.string(), i, labels_[i], kClasses);
  }

  std::size_t count() const { return file_.size() / kRecord; }
  int label(std::size_t i) const {
    return labels_.empty() ? -1 : labels_[i] - 1;
  }
  std::string name(std::size_t i) const {
    return fmt::format("{}:{}", file_.path().filename().string(), i);
  }
  void read(std::size_t i, Image& image) const {
    static thread_local std::array<std::uint8_t, kRecord> record;
    file_.read(i * kRecord, std::as_writable_bytes(std::span(record)));
    std::uint8_t* out = image.reset(kSide, kSide);
    for (std::size_t y = 0; y < kSide; ++y)
      for (std::size_t x = 0; x < kSide; ++x)
        for (std::size_t c = 0; c < 3; ++c)
          *out++ = record[c * kPlane + x * kSide + y];
  }

 private:
  FileReader file_;
  std::vector<std::uint8_t> labels_;  // 1 to 10
};

class Stl10 : public Dataset {
 public:
  explicit Stl10(const fs::path& folder) : folder_(folder) {}

  void add(const std::string& images, const std::string& labels) {
    auto part = std::make_unique<Part>(folder_ / images);
    if (!labels.empty()) {
      part->read_labels(folder_ / labels);
      classes_ = fs::exists(folder_ / "class_names.txt")
                     ? read_class_names(folder_ / "class_names.txt", kClasses)
                     : std::vector<std::string>{"airplane", "bird", "car", "cat", "deer",
                                                "dog", "horse", "monkey", "ship", "truck"};
    }
    size_ += static_cast<std::int64_t>(part->count());
    parts_.push_back(std::move(part));
  }

  std::int64_t size() const override { return size_; }
  const std::vector<std::string>& classes() const override { return classes_; }
  int label(std::int64_t i) const override {
    const auto [part, at] = find(i);
    return part.label(at);
  }
  std::string name(std::int64_t i) const override {
    const auto [part, at] = find(i);
    return part.name(at);
  }
  void read(std::int64_t i, Image& image) const override {
    const auto [part, at] = find(i);
    part.read(at, image);
  }

 private:
  std::pair<const Part&, std::size_t> find(std::int64_t i) const {
    auto at = static_cast<std::size_t>(i);
    std::size_t p = 0;
    for (; at >= parts_[p]->count(); ++p) at -= parts_[p]->count();
    return {*parts_[p], at};
  }

  fs::path folder_;
  std::vector<std::unique_ptr<Part>> parts_;
  std::vector<std::string> classes_;
  std::int64_t size_ = 0;
};

}  // namespace

bool looks_like_stl10(const std::string& path) {
  const fs::path folder = binary_folder(path);
  for (const char* name : {"train_X.bin", "test_X.bin", "unlabeled_X.bin"})
    if (fs::is_regular_file(folder / name)) return true;
  return false;
}

std::unique_ptr<Dataset> open_stl10(const std::string& path, Split split) {
  const fs::path folder = binary_folder(path);
  const auto has = [&](const char* name) {
    return fs::is_regular_file(folder / name);
  };
  auto dataset = std::make_unique<Stl10>(folder);
  if (split == Split::kPretrain) {
    // Of all images, without labels: scores never come to see an image that
    // has none.
    std::string missing;  // one of them
    for (const char* images : {"train_X.bin", "unlabeled_X.bin"})
      if (has(images)) dataset->add(images, "");
      else missing = images;
    if (dataset->size() > 0) {
      if (!missing.empty())
        spdlog::warn("[dataset] {}: {} of STL-10 not there", folder.string(), missing);
      return dataset;
    }
    throw error(ExitCode::kData,
                "[dataset] {}: expected unlabeled_X.bin or train_X.bin of "
                "STL-10",
                folder.string());
  }
  const std::string name = split == Split::kTest ? "test" : "train";
  for (const char* part : {"_X.bin", "_y.bin"})
    if (!has((name + part).c_str()))
      throw error(ExitCode::kData, "[dataset] {}: expected {}{} of STL-10",
                  folder.string(), name, part);
  dataset->add(name + "_X.bin", name + "_y.bin");
  return dataset;
}

}  // namespace music::data
