#include "music/eval/coco/cells.h"

#include <algorithm>
#include <numeric>
#include <limits>
#include <span>

#include "engine/core/error.h"

namespace music::coco {
namespace {

template <typename T>
std::uint64_t key_of(const T& item) {
  return std::uint64_t{static_cast<std::uint32_t>(item.category)} << 32 |
         static_cast<std::uint32_t>(item.image);
}

template <typename T>
std::vector<std::uint32_t> places_of(const std::vector<T>& items) {
  MUSIC_CHECK(items.size() < std::numeric_limits<std::uint32_t>::max(),
              "[coco] {} records", items.size());
  std::vector<std::uint32_t> places(items.size());
  std::iota(places.begin(), places.end(), 0u);
  return places;
}

}  // namespace

Cells group_cells(const GroundTruth& truth, const Results& results) {
  Cells out{{}, places_of(truth.annotations), places_of(results.detections)};
  const auto& a = truth.annotations;
  const auto& d = results.detections;
  std::sort(out.truths.begin(), out.truths.end(),
            [&](std::uint32_t i, std::uint32_t j) {
              const auto p = key_of(a[i]), q = key_of(a[j]);
              return p != q ? p < q : i < j;
            });
  std::sort(out.detections.begin(), out.detections.end(),
            [&](std::uint32_t i, std::uint32_t j) {
              const auto p = key_of(d[i]), q = key_of(d[j]);
              if (p != q) return p < q;
              return d[i].score != d[j].score ? d[i].score > d[j].score : i < j;
            });
  constexpr auto kEnd = std::numeric_limits<std::uint64_t>::max();
  for (std::size_t i = 0, j = 0; i < a.size() || j < d.size();) {
    const std::uint64_t p = i < a.size() ? key_of(a[out.truths[i]]) : kEnd;
    const std::uint64_t q = j < d.size() ? key_of(d[out.detections[j]]) : kEnd;
    const std::uint64_t key = std::min(p, q);
    Cell cell{static_cast<std::int32_t>(key >> 32),
              static_cast<std::int32_t>(key & 0xFFFFFFFF), i, 0, j, 0};
    while (i < a.size() && key_of(a[out.truths[i]]) == key) ++i;
    while (j < d.size() && key_of(d[out.detections[j]]) == key) ++j;
    cell.truths = i - cell.first_truth;
    cell.detections = j - cell.first_detection;
    out.cells.push_back(cell);
  }
  return out;
}

}  // namespace music::coco
