#include "music/codes/unit_table.h"

#include <algorithm>

namespace music {

UnitTable::UnitTable(const Segments& segments, std::int64_t exemplars)
    : segments_(segments), kept_(static_cast<std::size_t>(exemplars)),
      counts_(static_cast<std::size_t>(segments.units())),
      sums_(counts_.size()), exemplars_(counts_.size()) {}

void UnitTable::add(const float* q, const std::uint16_t* code) {
  for (std::int64_t s = 0; s < segments_.count(); ++s) {
    const auto unit = static_cast<std::size_t>(segments_.begin(s) + code[s]);
    ++counts_[unit];
    sums_[unit] += static_cast<double>(q[unit]);
  }
  for (std::size_t unit = 0; unit < exemplars_.size(); ++unit) {
    std::vector<UnitExemplar>& kept = exemplars_[unit];
    // An equal one that comes later has the higher number.
    if (kept.size() == kept_ && (kept_ == 0 || !(q[unit] > kept.back().q))) continue;
    if (kept.size() == kept_) kept.pop_back();
    const auto at = std::ranges::find_if(
        kept, [&](const UnitExemplar& e) { return e.q < q[unit]; });
    kept.insert(at, {images_, q[unit]});
  }
  ++images_;
}

double UnitTable::confidence(std::int64_t unit) const {
  const auto at = static_cast<std::size_t>(unit);
  return counts_[at] == 0 ? 0 : sums_[at] / static_cast<double>(counts_[at]);
}

std::vector<UnitExemplar> UnitTable::exemplars(std::int64_t unit) const {
  return exemplars_[static_cast<std::size_t>(unit)];
}

}  // namespace music
