#pragma once
// A setting: a named field with its help and limits. Methods list theirs so,
// and the configuration makes files, variables, flags and help of the lists.

#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace music {

// A setting whose values are words; the index of a name is what it stands for.
struct EnumField {
  std::vector<std::string> names;
  std::function<int()> get;
  std::function<void(int)> set;
};

using Field =
    std::variant<bool*, int*, std::int64_t*, std::uint64_t*, double*,
                 std::string*, std::array<double, 2>*, std::array<float, 3>*,
                 std::vector<std::int64_t>*, std::vector<double>*, EnumField>;

// Names of an enumeration's values, in their order.
template <typename E>
Field words(E& field, std::vector<std::string> names) {
  return EnumField{std::move(names),
                   [&field] { return static_cast<int>(field); },
                   [&field](int i) { field = static_cast<E>(i); }};
}

// S: the structure that has the field.
template <typename S>
struct Setting {
  std::string name;
  std::function<Field(S&)> field;
  std::string help;
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  bool above = false;  // min itself is excluded
  // Decides nothing unless it differs from its default: so are settings that
  // came after the first checkpoints, which then go on.
  bool added = false;
};

// Where Settings is the structure's name.
#define MUSIC_FIELD(member) [](Settings& s) -> ::music::Field { return &s.member; }
#define MUSIC_WORDS(member, ...) \
  [](Settings& s) -> ::music::Field { \
    return ::music::words(s.member, {__VA_ARGS__}); \
  }

}  // namespace music
