#pragma once
// What is counted and named in a message: how many, and the first of them.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace music::data {

struct Tally {
  static constexpr std::size_t kNames = 3;
  std::int64_t count = 0;
  std::vector<std::string> names;  // the first of them

  void add(std::string name, std::int64_t n = 1);
  void add(const Tally& other);
  // "a, b, c, ..."
  std::string list() const;
  // "1 link", "2 links"
  std::string of(std::string_view one) const;
};

}  // namespace music::data
