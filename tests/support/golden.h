#pragma once
// The files of tests/golden, written by tools/make_goldens.py from PyTorch in
// float64, and the hashed numbers they start from. Everything here is in
// PyTorch's layout: weights OIHW, images and feature maps NCHW.

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/core/error.h"
#include "engine/io/safetensors.h"
#include "tests/support/compare.h"

namespace music::test {

using Dims = std::vector<std::int64_t>;

inline std::int64_t elements(const Dims& shape) {
  std::int64_t n = 1;
  for (std::int64_t d : shape) n *= d;
  return n;
}

// low32(splitmix64(fnv1a32(name) * 2^32 + i))
inline std::uint32_t hash32(std::string_view name, std::uint64_t i) {
  std::uint32_t key = 0x811C9DC5u;
  for (unsigned char c : name) key = (key ^ c) * 0x01000193u;
  std::uint64_t z = (std::uint64_t{key} << 32) + i + 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return static_cast<std::uint32_t>(z ^ (z >> 31));
}

// offset + scale * value(name, i), value uniform in [-1/2, 1/2).
inline std::vector<float> hashed(std::string_view name, std::int64_t count,
                                 double scale = 1, double offset = 0) {
  std::vector<float> out(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = static_cast<float>(offset +
                                scale * (hash32(name, i) / 4294967296.0 - 0.5));
  return out;
}

// The parameter `name` of every golden network, by rank (make_goldens.py).
// Projectors are named projector.0.weight and so on.
inline std::vector<float> hashed_parameter(std::string_view name,
                                           const Dims& shape) {
  const std::int64_t n = elements(shape);
  const auto root = [](double x) { return std::sqrt(x); };
  if (shape.size() == 4)
    return hashed(
        name, n,
        root(24.0 / static_cast<double>(shape[0] * shape[2] * shape[3])));
  if (shape.size() == 2)
    return hashed(name, n, 2.0 / root(static_cast<double>(shape[1])));
  if (name.ends_with("weight")) return hashed(name, n, 0.5, 1);
  return hashed(name, n, 0.25, name == "bn1.bias" ? -1 : 1);
}

// [A,B,H,W] -> [A,H,W,B]: OIHW to KRSC, NCHW to NHWC.
template <typename T>
std::vector<T> channels_last(const std::vector<T>& x, const Dims& s) {
  std::vector<T> y(x.size());
  const std::int64_t area = s[2] * s[3];
  for (std::int64_t a = 0; a < s[0]; ++a)
    for (std::int64_t b = 0; b < s[1]; ++b)
      for (std::int64_t p = 0; p < area; ++p)
        y[static_cast<std::size_t>((a * area + p) * s[1] + b)] =
            x[static_cast<std::size_t>((a * s[1] + b) * area + p)];
  return y;
}

// The inverse; `s` is the shape of the result, [A,B,H,W].
template <typename T>
std::vector<T> channels_first(const std::vector<T>& x, const Dims& s) {
  return channels_last(x, {s[0], s[2] * s[3], s[1], 1});
}

inline std::string tests_folder() {
  const char* folder = std::getenv("MUSIC_TESTS");
  return folder ? folder : MUSIC_TEST_SOURCE_DIR;
}

class Golden {
 public:
  // name: of a file in tests/golden, without its extension. Programs that were
  // installed elsewhere are told where tests/ is by MUSIC_TESTS.
  explicit Golden(const std::string& name)
      : file_(SafetensorsFile::open(tests_folder() + "/golden/" + name +
                                    ".safetensors")) {}

  bool has(std::string_view name) const { return file_.find(name); }
  const SafetensorsFile& file() const { return file_; }
  Dims shape(std::string_view name) const { return entry(name).shape; }

  std::vector<double> get(std::string_view name) const {
    const TensorEntry& e = entry(name);
    switch (e.dtype) {
      case DType::kF32:
        return read<float>(e);
      case DType::kF64:
        return read<double>(e);
      case DType::kI64:
        return read<std::int64_t>(e);
      default:
        throw error(ExitCode::kData, "[golden] {} is {}", e.name,
                    name_of(e.dtype));
    }
  }
  double scalar(std::string_view name) const { return get(name).at(0); }
  std::vector<std::int64_t> integers(std::string_view name) const {
    std::vector<std::int64_t> out;
    for (double v : get(name)) out.push_back(static_cast<std::int64_t>(v));
    return out;
  }

  // Norm-relative error of `actual` against `prefix` + name.
  template <typename Range>
  double error_of(const std::string& prefix, const std::string& name,
                  const Range& actual, double floor = 0) const {
    return norm_relative(actual, get(prefix + name), floor);
  }

  // Norm-relative error of a gradient in PyTorch's layout, whichever way it
  // is stored: whole, or as norm and samples (the larger of the two errors;
  // that of the samples relative to the norm they would have on average).
  double gradient_error(const std::string& name,
                        const std::vector<float>& actual,
                        double floor = kGradientFloor) const {
    if (has("grad/" + name)) return error_of("grad/", name, actual, floor);
    const std::vector<double> expected = get("grad_samples/" + name);
    const double size = scalar("grad_norm/" + name);
    if (actual.empty()) return std::numeric_limits<double>::infinity();
    double square = 0;
    for (std::size_t j = 0; j < expected.size(); ++j) {
      const double e =
          actual[hash32("samples/" + name, j) % actual.size()] - expected[j];
      square += e * e;
    }
    const double n = static_cast<double>(expected.size());
    const double m = static_cast<double>(actual.size());
    const double samples = std::sqrt(square / n * m) / std::max(size, floor);
    const double length = std::abs(norm(actual) - size) / std::max(size, floor);
    return std::isnan(samples) ? samples : std::max(samples, length);
  }

  // projector.0.bias stands before batch_norm: its gradient is 0.
  static constexpr double kGradientFloor = 1e-2;

 private:
  const TensorEntry& entry(std::string_view name) const {
    const TensorEntry* e = file_.find(name);
    if (!e) throw error(ExitCode::kData, "[golden] no tensor {}", name);
    return *e;
  }
  template <typename T>
  static std::vector<double> read(const TensorEntry& e) {
    std::vector<T> raw(e.data.size() / sizeof(T));
    std::memcpy(raw.data(), e.data.data(), e.data.size());
    return {raw.begin(), raw.end()};
  }

  SafetensorsFile file_;
};

}  // namespace music::test
