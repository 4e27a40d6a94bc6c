#pragma once
// A data set of made-up images.

#include <algorithm>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "engine/core/error.h"
#include "engine/core/rng.h"

namespace music::test {

// n images of hashed pixels; those in `bad` cannot be read.
class Made : public data::Dataset {
 public:
  explicit Made(std::int64_t n, std::vector<std::int64_t> bad = {}, int side = 32)
      : n_(n), bad_(std::move(bad)), side_(side) {}
  std::int64_t size() const override { return n_; }
  const std::vector<std::string>& classes() const override { return classes_; }
  int label(std::int64_t i) const override { return static_cast<int>(i % 3); }
  std::string name(std::int64_t i) const override { return std::to_string(i); }
  void read(std::int64_t i, data::Image& image) const override {
    if (std::ranges::count(bad_, i))
      throw error(ExitCode::kData, "cannot be read");
    Rng rng(7, RngPurpose::kTest, static_cast<std::uint32_t>(i));
    std::uint8_t* out = image.reset(side_, side_);
    for (int p = 0; p < 3 * side_ * side_; ++p)
      out[p] = static_cast<std::uint8_t>(rng.below(256));
  }

 private:
  std::int64_t n_;
  std::vector<std::int64_t> bad_;
  int side_;
  std::vector<std::string> classes_{"a", "b", "c"};
};

}  // namespace music::test
