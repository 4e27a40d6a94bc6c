#include "music/loss/column_slabs.h"

#include <algorithm>
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

std::vector<std::int64_t> column_slabs(std::int64_t units, int ranks) {
  constexpr std::int64_t kMultiple = 16;
  std::vector<std::int64_t> slabs;
  for (int r = 0; r < ranks; ++r)
    slabs.push_back(units * r / ranks / kMultiple * kMultiple);
  slabs.push_back(units);
  return slabs;
}

int widest_slab(const std::vector<std::int64_t>& slab) {
  int widest = 0;
  std::int64_t most = -1;
  for (std::size_t r = 0; r + 1 < slab.size(); ++r)
    if (slab[r + 1] - slab[r] > most)
      most = slab[r + 1] - slab[r], widest = static_cast<int>(r);
  return widest;
}

std::int64_t gpu_panel_units(std::int64_t samples,
                             const std::vector<std::int64_t>& slab,
                             std::int64_t code) {
  constexpr std::int64_t kPanelBytes = 8 << 20, kBlockBytes = 32 << 20;
  constexpr std::int64_t kLeast = 256, kMultiple = 128;
  std::int64_t widest = 1;
  for (std::size_t r = 0; r + 1 < slab.size(); ++r)
    widest = std::max(widest, slab[r + 1] - slab[r]);
  const std::int64_t fit =
      std::min(kPanelBytes / code / samples,
               kBlockBytes / static_cast<std::int64_t>(sizeof(float)) / widest);
  return std::max(kLeast, fit / kMultiple * kMultiple);
}

}  // namespace music
