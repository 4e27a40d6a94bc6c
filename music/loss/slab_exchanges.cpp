#include "music/loss/slab_exchanges.h"

#include <algorithm>

namespace music {

// As cpu::TileSlabs::run(): panels of A go round while their neighbours are
// multiplied.
void tell(const SlabExchanges& s, dist::Timetable& t, double share) {
  using Kind = dist::Collective::Kind;
  using dist::Ticket;
  const auto rank = static_cast<std::size_t>(s.rank);
  const std::int64_t units = s.slabs.back();
  const std::int64_t panels = (units + s.panel - 1) / s.panel;
  const auto code = static_cast<double>(s.code);
  const auto exchanged_elements = static_cast<double>(std::max(
      s.n * units, s.samples * (s.slabs[rank + 1] - s.slabs[rank])));
  const auto elements = [&](std::int64_t p) {
    return static_cast<double>(s.samples *
                               std::min(s.panel, units - p * s.panel));
  };
  const auto gather = [&](std::int64_t p) {
    return t.start(Kind::kAllGather, elements(p) * code);
  };

  const Ticket exchanged = t.start(Kind::kAllToAll, exchanged_elements * code);
  Ticket gathered = gather(0), reduced;
  t.wait(exchanged);
  for (std::int64_t p = 0; p < panels; ++p) {
    const Ticket next = p + 1 < panels ? gather(p + 1) : Ticket{};
    t.wait(gathered);
    gathered = next;
    t.compute(share * elements(p), static_cast<double>(s.samples * units));
    if (!s.of_a) continue;
    const Ticket previous = reduced;
    reduced = t.start(Kind::kReduceScatter, elements(p) * sizeof(float));
    if (p > 0) t.wait(previous);
  }
  if (s.of_a) t.wait(reduced);
  if (s.of_b) t.run(Kind::kAllToAll, exchanged_elements * sizeof(float));
}

}  // namespace music
