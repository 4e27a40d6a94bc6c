#include "music/column_slabs.h"

#include <cstdlib>

namespace music {

std::vector<std::int64_t> column_slabs(const Segments& segments, int ranks) {
  std::vector<std::int64_t> slabs{0};
  std::int64_t s = 0;
  for (int r = 1; r < ranks; ++r) {
    const std::int64_t share = segments.units() * r / ranks;
    while (s < segments.count() &&
           std::abs(segments.begin(s + 1) - share) <=
               std::abs(segments.begin(s) - share))
      ++s;
    slabs.push_back(segments.begin(s));
  }
  slabs.push_back(segments.units());
  return slabs;
}

}  // namespace music
