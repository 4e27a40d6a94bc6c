#pragma once
// The rows of tools/make_logistic_goldens.py: hashed features of classes that lie
// apart, with means and scales that differ from column to column.

#include <cstdint>
#include <string>

#include "music/eval/features.h"
#include "tests/support/golden.h"

namespace music::test {

struct LogisticCase {
  const char* name;
  std::int64_t rows, width, classes;
  double apart;
};
inline constexpr LogisticCase kLogisticCases[] = {
    {"many", 240, 24, 6, 0.4}, {"apart", 60, 12, 3, 3.0}, {"few", 10, 40, 5, 0.5}};

inline Features rows_of(const LogisticCase& c) {
  const std::string name = c.name;
  Features f;
  f.count = c.rows, f.width = c.width;
  for (std::int64_t i = 0; i < c.rows; ++i)
    f.labels.push_back(
        i < c.classes ? static_cast<int>(i)
                      : static_cast<int>(
                            hash32(name + "/labels", static_cast<std::uint64_t>(i)) %
                            static_cast<std::uint64_t>(c.classes)));
  const auto mean = hashed(name + "/mean", c.width, 2.0, 1.5),
             scale = hashed(name + "/scale", c.width, 1.8, 1.0),
             centres = hashed(name + "/centres", c.classes * c.width, 2 * c.apart),
             noise = hashed(name, c.rows * c.width, 2.0);
  for (std::int64_t i = 0; i < c.rows; ++i)
    for (std::int64_t j = 0; j < c.width; ++j) {
      const auto at = static_cast<std::size_t>(j);
      const int label = f.labels[static_cast<std::size_t>(i)];
      f.values.push_back(static_cast<float>(
          static_cast<double>(mean[at]) +
          static_cast<double>(scale[at]) *
              (static_cast<double>(noise[static_cast<std::size_t>(i * c.width + j)]) +
               static_cast<double>(
                   centres[static_cast<std::size_t>(label * c.width + j)]))));
    }
  return f;
}

}  // namespace music::test
