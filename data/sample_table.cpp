#include "data/sample_table.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "data/dataset_files.h"
#include "engine/core/error.h"

namespace music::data {

StringList::StringList(std::string text, std::vector<std::uint64_t> ends)
    : text_(std::move(text)), ends_(std::move(ends)) {
  if (!std::is_sorted(ends_.begin(), ends_.end()) ||
      (ends_.empty() ? 0 : ends_.back()) != text_.size())
    throw error(ExitCode::kData, "[dataset] {} strings do not fit {} bytes",
                ends_.size(), text_.size());
}

void StringList::add(const StringList& other) {
  const std::size_t before = text_.size();
  text_.append(other.text_);
  ends_.reserve(ends_.size() + other.ends_.size());
  for (const std::size_t end : other.ends_) ends_.push_back(before + end);
}

void StringList::resize(std::size_t n) {
  ends_.resize(std::min(n, ends_.size()));
  text_.resize(ends_.empty() ? 0 : ends_.back());
}

bool consistent(const SampleTable& t) {
  const std::size_t images = t.names.size();
  const bool files = t.shards.empty();
  const std::size_t placed = files ? 0 : images;
  const auto below = [](const auto& values, std::int64_t least,
                        std::size_t end) {
    return std::ranges::all_of(values, [&](std::int64_t v) {
      return v >= least && v < static_cast<std::int64_t>(end);
    });
  };
  return t.labels.size() == images && t.shard.size() == placed &&
         t.offset.size() == placed && t.bytes.size() == placed &&
         below(t.labels, -1, files ? t.classes.size() : kMostClasses) &&
         below(t.shard, 0, t.shards.size());
}

void check_size(const SampleTable& table, const std::string& path) {
  if (table.names.size() > std::numeric_limits<std::uint32_t>::max())
    throw error(ExitCode::kData, "[dataset] {}: {} images, limit 2^32 - 1",
                path, table.names.size());
}

}  // namespace music::data
