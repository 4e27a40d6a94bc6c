#pragma once
// The cases of tests/golden/images.txt, and of images13.txt what Pillow 13 resizes
// otherwise; written by tools/make_image_goldens.py.

#include <cstdint>
#include <fstream>
#include <iterator>
#include <map>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "data/augment_spec.h"
#include "data/image.h"

namespace music::data {

struct GoldenCase {
  std::string kind, line;
  std::vector<std::string> parameters;
  std::span<const std::uint8_t> bytes;

  int integer(std::size_t i) const { return std::stoi(parameters.at(i)); }
  double real(std::size_t i) const { return std::stod(parameters.at(i)); }
};

inline Interpolation interpolation(const std::string& name) {
  return name == "bicubic" ? Interpolation::kBicubic
                           : Interpolation::kBilinear;
}

class ImageGoldens {
 public:
  explicit ImageGoldens(int pillow = Resampling::kEarlier) {
    const std::string base = std::string(MUSIC_TEST_SOURCE_DIR) + "/golden/images" +
                             (pillow == Resampling::kEarlier ? "." : "13.");
    std::ifstream bin(base + "bin", std::ios::binary), txt(base + "txt");
    blob_.assign(std::istreambuf_iterator<char>(bin), {});
    for (std::string line; std::getline(txt, line);) {
      std::istringstream words(line);
      GoldenCase c;
      c.line = line;
      words >> c.kind;
      c.parameters.assign(std::istream_iterator<std::string>(words), {});
      const std::size_t n = c.parameters.size();
      if (c.kind != "all")
        c.bytes = std::span(blob_).subspan(std::stoul(c.parameters.at(n - 2)),
                                           std::stoul(c.parameters.at(n - 1)));
      if (c.kind == "image")
        images_[c.parameters[0]].borrow(c.bytes.data(), c.integer(1),
                                        c.integer(2));
      cases_.push_back(std::move(c));
    }
    if (cases_.empty() || blob_.empty())
      throw std::runtime_error("cannot read " + base + "{txt,bin}");
  }

  std::vector<GoldenCase> of(const std::string& kind) const {
    std::vector<GoldenCase> found;
    for (const GoldenCase& c : cases_)
      if (c.kind == kind) found.push_back(c);
    return found;
  }
  const Image& image(const std::string& name) const { return images_.at(name); }

 private:
  std::vector<std::uint8_t> blob_;
  std::map<std::string, Image> images_;
  std::vector<GoldenCase> cases_;
};

// Bytes that differ; all of them when the sizes do.
inline std::size_t differing(std::span<const std::uint8_t> a,
                             std::span<const std::uint8_t> b) {
  if (a.size() != b.size()) return a.size() + b.size();
  std::size_t count = 0;
  for (std::size_t i = 0; i < a.size(); ++i) count += a[i] != b[i];
  return count;
}

}  // namespace music::data
