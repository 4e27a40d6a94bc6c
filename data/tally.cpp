#include "data/tally.h"

#include <utility>

#include "engine/core/counted.h"
#include "engine/core/text.h"

namespace music::data {

void Tally::add(std::string name, std::int64_t n) {
  count += n;
  if (names.size() < kNames) names.push_back(std::move(name));
}

void Tally::add(const Tally& other) {
  count += other.count;
  for (const std::string& name : other.names)
    if (names.size() < kNames) names.push_back(name);
}

std::string Tally::list() const {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + one_line(name);
  return count > std::ssize(names) ? text + ", ..." : text;
}

std::string Tally::of(std::string_view one) const {
  return counted(count, one);
}

}  // namespace music::data
