#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "music/paper/result.h"

namespace music {
namespace {

const PaperCell* cell_of(const PaperTableResult& table, const std::string& row,
                         const std::string& column) {
  for (const PaperRowResult& r : table.rows)
    if (r.row->id == row)
      for (const PaperCell& cell : r.cells)
        if (cell.column->name == column) return &cell;
  return nullptr;
}

// Below it a difference of two cells says nothing.
double noise(const PaperCell& a, const PaperCell& b, const PaperScale& scale) {
  if (a.column->measured())
    return scale.band.measured_noise * std::max(a.ours.mean(), b.ours.mean());
  const auto da = a.ours.deviation(), db = b.ours.deviation();
  if (!da || !db) return scale.band.noise;
  const auto share = [](const PaperCell& c, double d) {
    return d * d / static_cast<double>(c.ours.values.size());
  };
  return 2 * std::sqrt(share(a, *da) + share(b, *db));
}

}  // namespace

void judge(PaperCell& cell, const PaperScale& scale) {
  const PaperBand& band = scale.band;
  if (!cell.ours.there()) {
    cell.verdict = "no number";
    return;
  }
  const double ours = cell.ours.mean();
  if (cell.column->measured()) {
    cell.verdict = "not comparable";
    cell.band = "the order of rows";
    cell.why = cell.ours.how == "planned"
                   ? "a plan by the limits of the machine (music_plan), not a run"
                   : "another machine and another model than the paper's";
    return;
  }
  const auto within = band.within.find(cell.column->evaluation);
  if (within != band.within.end()) {
    cell.band = fmt::format("{:.1f} +- {:g}", cell.paper, within->second);
    cell.verdict =
        std::abs(ours - cell.paper) <= within->second ? "inside" : "outside";
    return;
  }
  double floor = -std::numeric_limits<double>::infinity();
  if (cell.ours.chance) floor = *cell.ours.chance;
  std::string of = "chance";
  if (cell.ours.random && *cell.ours.random > floor) {
    floor = *cell.ours.random;
    of = "random weights";
  }
  if (std::isinf(floor)) {
    cell.verdict = "not comparable";
    cell.why = "another scale, and nothing beside it to be above of";
    return;
  }
  floor = (floor * cell.column->times) + band.margin;
  cell.band = fmt::format("> {:.1f} ({})", floor, of);
  cell.verdict = ours > floor ? "inside" : "outside";
}

PaperClaimResult judge(const PaperClaim& claim, const PaperTableResult& table) {
  PaperClaimResult result{&claim, "", ""};
  int pairs = 0, held = 0, against = 0;
  bool planned = false;
  double least = std::numeric_limits<double>::infinity();
  for (const std::string& over : claim.over)
    for (const std::string& under : claim.under) {
      const PaperCell* a = cell_of(table, over, claim.column);
      const PaperCell* b = cell_of(table, under, claim.column);
      if (!a || !b || !a->ours.there() || !b->ours.there() ||
          (a->ours.how != b->ours.how)) {
        result.verdict = "not run";
        return result;
      }
      planned = planned || a->ours.how == "planned";
      const double difference = a->ours.mean() - b->ours.mean();
      const double least_said = noise(*a, *b, *table.scale);
      ++pairs;
      held += difference > least_said;
      against += difference < -least_said;
      least = std::min(least, difference);
    }
  result.detail = fmt::format("{} of {} pairs, {} against; least difference {:+.3g}",
                              held, pairs, against, least);
  if (planned) result.detail += ", planned";
  result.verdict = against > 0      ? "contradicted"
                   : held == pairs  ? "holds"
                                    : "undecided";
  return result;
}

}  // namespace music
