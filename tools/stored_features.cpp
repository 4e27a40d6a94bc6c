#include "tools/stored_features.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "engine/core/half.h"
#include "engine/io/npy.h"

namespace music {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kChunk = 1 << 18;  // elements converted at a time

// Elements [begin, begin + count) as T, where they are stored as S.
template <typename S, typename T, typename Convert>
void read_as(const NpyReader& file, std::int64_t begin, std::int64_t count,
             T* out, Convert convert) {
  std::vector<S> chunk(static_cast<std::size_t>(std::min(count, kChunk)));
  for (std::int64_t at = 0; at < count; at += kChunk) {
    chunk.resize(static_cast<std::size_t>(std::min(count - at, kChunk)));
    file.read(begin + at, std::as_writable_bytes(std::span(chunk)));
    std::transform(chunk.begin(), chunk.end(), out + at, convert);
  }
}

void read_floats(const NpyReader& file, std::int64_t begin, std::int64_t count,
                 float* out) {
  const auto cast = [](auto v) { return static_cast<float>(v); };
  if (file.dtype() == DType::kF32)
    file.read(begin, std::as_writable_bytes(
                         std::span(out, static_cast<std::size_t>(count))));
  else if (file.dtype() == DType::kF64)
    read_as<double>(file, begin, count, out, cast);
  else
    read_as<Half>(file, begin, count, out, [](Half h) { return to_float(h); });
}

void check_features(const NpyReader& file) {
  const DType t = file.dtype();
  if (file.shape().size() != 2 || file.shape()[0] < 1 || file.shape()[1] < 1 ||
      (t != DType::kF32 && t != DType::kF64 && t != DType::kF16))
    throw error(ExitCode::kData,
                "[features] {} holds {} {}: expected f32, f64 or f16 of shape "
                "(images, width)", file.path().string(), name_of(t),
                file.shape());
}

std::vector<int> read_labels(const fs::path& folder, std::int64_t images) {
  const NpyReader file(folder / "labels.npy");
  const DType t = file.dtype();
  if (file.shape() != std::vector<std::int64_t>{images} ||
      (t != DType::kI64 && t != DType::kI32 && t != DType::kU8))
    throw error(ExitCode::kData,
                "[features] {} holds {} {}: expected i64, i32 or u8 of shape "
                "({},), one a row of features.npy", file.path().string(),
                name_of(t), file.shape(), images);
  std::vector<int> labels(static_cast<std::size_t>(images));
  // What no class number is, is no label.
  const auto number = [](auto v) {
    return v >= 0 && v < 100'000 ? static_cast<int>(v) : -1;
  };
  if (t == DType::kI64)
    read_as<std::int64_t>(file, 0, images, labels.data(), number);
  else if (t == DType::kI32)
    read_as<std::int32_t>(file, 0, images, labels.data(), number);
  else
    read_as<std::uint8_t>(file, 0, images, labels.data(), number);
  return labels;
}

class StoredFeatures : public data::Dataset {
 public:
  explicit StoredFeatures(const fs::path& folder)
      : features_(folder / "features.npy") {
    check_features(features_);
    labels_ = read_labels(folder, features_.shape()[0]);
    const int most = *std::max_element(labels_.begin(), labels_.end());
    for (int c = 0; c <= most; ++c) classes_.push_back(std::to_string(c));
  }

  std::int64_t size() const override { return std::ssize(labels_); }
  const std::vector<std::string>& classes() const override { return classes_; }
  int label(std::int64_t i) const override {
    return labels_[static_cast<std::size_t>(i)];
  }
  std::string name(std::int64_t i) const override {
    return fmt::format("{}:{}", features_.path().string(), i);
  }
  bool read_file(std::int64_t i,
                 std::vector<std::uint8_t>& bytes) const override {
    const std::int64_t width = features_.shape()[1];
    bytes.resize(static_cast<std::size_t>(width) * size_of(features_.dtype()));
    features_.read(i * width, std::as_writable_bytes(std::span(bytes)));
    return true;
  }

 private:
  NpyReader features_;
  std::vector<int> labels_;
  std::vector<std::string> classes_;
};

}  // namespace

std::unique_ptr<data::Dataset> open_stored_features(const fs::path& folder) {
  return std::make_unique<StoredFeatures>(folder);
}

Features read_stored_features(const fs::path& folder, int rank, int world) {
  const NpyReader file(folder / "features.npy");
  check_features(file);
  const std::int64_t n = file.shape()[0];
  const std::int64_t begin = n * rank / world, end = n * (rank + 1) / world;
  Features f;
  f.width = file.shape()[1];
  f.count = end - begin;
  f.values.resize(static_cast<std::size_t>(f.count * f.width));
  read_floats(file, begin * f.width, f.count * f.width, f.values.data());
  const std::vector<int> labels = read_labels(folder, n);
  f.labels.assign(labels.begin() + begin, labels.begin() + end);
  return f;
}

}  // namespace music
