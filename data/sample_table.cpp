#include "data/sample_table.h"

#include <algorithm>
#include <limits>
#include <utility>

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

void check_size(const SampleTable& table, const std::string& path) {
  if (table.names.size() > std::numeric_limits<std::uint32_t>::max())
    throw error(ExitCode::kData, "[dataset] {}: {} images, limit 2^32 - 1",
                path, table.names.size());
}

}  // namespace music::data
