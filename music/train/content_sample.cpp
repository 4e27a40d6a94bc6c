#include "music/train/content_sample.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <map>
#include <span>
#include <sstream>

#include "engine/core/error.h"
#include "engine/core/text.h"
#include "engine/io/file.h"

namespace music {
namespace {

constexpr std::int64_t kMost = 64;

std::string hash_of(const data::Dataset& dataset, std::int64_t i) try {
  Xxh3 hash;
  std::vector<std::uint8_t> bytes;
  if (dataset.read_file(i, bytes)) {
    hash.update(std::as_bytes(std::span(bytes)));
  } else {
    data::Image image;
    dataset.read(i, image);
    hash.update(std::as_bytes(std::span(image.data(), image.bytes())));
  }
  return hash.digest().xxh3_128.substr(0, 12);
} catch (const Error& e) {
  if (e.code() != ExitCode::kData) throw;
  return "bad";
}

std::map<std::int64_t, std::string> parsed(const std::string& sample) {
  std::map<std::int64_t, std::string> hashes;
  std::istringstream words(sample);
  for (std::string word; words >> word;) {
    const std::size_t at = word.find('=');
    std::int64_t i = -1;
    const auto [end, failure] = std::from_chars(
        word.data(), word.data() + std::min(at, word.size()), i);
    if (at != word.npos && failure == std::errc()) hashes[i] = word.substr(at + 1);
  }
  return hashes;
}

}  // namespace

std::string content_sample(const data::Dataset& dataset) {
  const std::int64_t n = std::min(kMost, dataset.size());
  std::string sample;
  for (std::int64_t k = 0; k < n; ++k) {
    const std::int64_t i = k * dataset.size() / n;
    sample += fmt::format("{}{}={}", k > 0 ? " " : "", i, hash_of(dataset, i));
  }
  return sample;
}

std::vector<std::string> changed_content(const std::string& before,
                                         const std::string& now,
                                         const data::Dataset& dataset) {
  const auto was = parsed(before);
  std::vector<std::string> names;
  for (const auto& [i, hash] : parsed(now)) {
    const auto it = was.find(i);
    if (it != was.end() && it->second != hash && it->second != "bad" &&
        hash != "bad")
      names.push_back(dataset.name(i));
  }
  return names;
}

void warn_of_changes(const std::string& before, const std::string& now,
                     const data::Dataset& dataset,
                     const std::filesystem::path& where) {
  const auto names = changed_content(before, now, dataset);
  if (names.empty()) return;
  spdlog::warn("[run] images hold something else than when {} was written: {} of "
               "those that are compared, the first {}: this is no longer a run on "
               "the same data", where.string(), names.size(), in_quotes(names[0]));
}

}  // namespace music
