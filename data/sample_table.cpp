#include "data/sample_table.h"

#include <limits>

#include "engine/core/error.h"

namespace music::data {

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
