#include "music/eval/fingerprint.h"

#include <algorithm>
#include <span>
#include <string_view>
#include <vector>

#include "engine/core/error.h"
#include "engine/io/file.h"

namespace music {
namespace {

constexpr std::int64_t kSampledImages = 256;

void add(Xxh3& hash, std::string_view text) {
  hash.update(std::as_bytes(std::span(text.data(), text.size())));
  hash.update(std::as_bytes(std::span("", 1)));  // ends it: "ab","c" != "a","bc"
}

void add(Xxh3& hash, std::int64_t number) {
  hash.update(std::as_bytes(std::span(&number, 1)));
}

void add_image(Xxh3& hash, const data::Dataset& dataset, std::int64_t i) {
  std::vector<std::uint8_t> bytes;
  try {
    if (dataset.read_file(i, bytes)) {
      hash.update(std::as_bytes(std::span(bytes)));
      return;
    }
    data::Image image;
    dataset.read(i, image);
    hash.update(std::as_bytes(std::span(
        image.data(), image.bytes())));
  } catch (const Error&) {
    add(hash, "unreadable");
  }
}

}  // namespace

std::string data_fingerprint(const data::Dataset& dataset) {
  Xxh3 hash;
  const std::int64_t n = dataset.size();
  add(hash, n);
  for (const auto& name : dataset.classes()) add(hash, name);
  for (std::int64_t i = 0; i < n; ++i)
    add(hash, static_cast<std::int64_t>(dataset.label(i)));
  const std::int64_t sampled = std::min(n, kSampledImages);
  for (std::int64_t s = 0; s < sampled; ++s)
    add_image(hash, dataset, s * n / sampled);
  return hash.digest().xxh3_128;
}

}  // namespace music
