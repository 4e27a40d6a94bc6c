#include "music/loss/product_price.h"

#include <algorithm>

#include "music/loss/column_slabs.h"
#include "music/loss/cpu/tile_slabs.h"
#include "music/loss/panel_widths.h"

namespace music {
namespace {

std::int64_t code_bytes(const ProductShare& s) {
  return static_cast<std::int64_t>(size_of(s.codes));
}

std::int64_t slab_row(const ProductShare& s, int rank) {
  const auto r = static_cast<std::size_t>(rank);
  return row_elements(s, s.slabs[r + 1] - s.slabs[r]);
}

// Elements of B, or dB, that this process has for all slabs.
std::int64_t sent(const ProductShare& s) {
  std::int64_t elements = 0;
  for (int r = 0; r < s.ranks(); ++r) elements += s.n * slab_row(s, r);
  return elements;
}

}  // namespace

std::int64_t row_elements(const ProductShare& s, std::int64_t units) {
  constexpr std::int64_t kVector = 8;
  return s.device == Device::kCpu ? units
                                  : (units + kVector - 1) / kVector * kVector;
}

NodeWork product_work(const ProductShare& s) {
  const auto units = static_cast<double>(s.units());
  const double of_m = units * units / s.ranks();  // elements
  const int gradients = s.gradients == Gradients::kNone ? 0
                        : s.gradients == Gradients::kB  ? 1
                                                        : 2;
  return {2 * static_cast<double>(s.samples) * of_m * (1 + gradients),
          gradients > 0 ? 2 * of_m * static_cast<double>(code_bytes(s)) : 0};
}

std::int64_t panel_units(const ProductShare& s) {
  return s.device == Device::kCpu
             ? cpu::panel_units(s.samples, s.units())
             : std::min(row_elements(s, s.units()),
                        gpu_panel_units(s.samples, s.slabs, code_bytes(s)));
}

// As TileSlabs::run(): panels of A go round while their neighbours are
// multiplied.
void tell(const ProductShare& s, dist::Timetable& t, double share) {
  using Kind = dist::Collective::Kind;
  using dist::Ticket;
  const std::int64_t units = s.units(), panel = panel_units(s);
  const std::int64_t panels = (units + panel - 1) / panel;
  const auto code = static_cast<double>(code_bytes(s));
  const auto exchanged =
      static_cast<double>(std::max(sent(s), s.samples * slab_row(s, s.rank)));
  const auto width = [&](std::int64_t p) {
    return std::min(panel, units - p * panel);
  };
  const auto elements = [&](std::int64_t p) {
    return static_cast<double>(s.samples * row_elements(s, width(p)));
  };
  const auto gather = [&](std::int64_t p) {
    return t.start(Kind::kAllGather, elements(p) * code);
  };

  const Ticket to_slabs = t.start(Kind::kAllToAll, exchanged * code);
  Ticket gathered = gather(0), reduced;
  t.wait(to_slabs);
  for (std::int64_t p = 0; p < panels; ++p) {
    const Ticket next = p + 1 < panels ? gather(p + 1) : Ticket{};
    t.wait(gathered);
    gathered = next;
    t.compute(share * static_cast<double>(s.samples * width(p)),
              static_cast<double>(s.samples * units));
    if (s.gradients != Gradients::kBoth) continue;
    const Ticket previous = reduced;
    reduced = t.start(Kind::kReduceScatter, elements(p) * sizeof(float));
    if (p > 0) t.wait(previous);
  }
  if (s.gradients == Gradients::kBoth) t.wait(reduced);
  if (s.gradients != Gradients::kNone)
    t.run(Kind::kAllToAll, exchanged * sizeof(float));
}

std::size_t gpu_workspace(const ProductShare& s) {
  constexpr std::int64_t kFloat = sizeof(float);
  const std::int64_t code = code_bytes(s), units = s.units();
  const bool in_place = s.codes == DType::kF32;  // G is made of M where it is
  const bool gradient = s.gradients != Gradients::kNone;
  if (s.ranks() == 1) {
    const PanelWidths w = panel_widths(units, s.codes);
    return static_cast<std::size_t>(
        units * (in_place || gradient ? w.panel * code : 0) +
        units * (in_place ? 0 : w.tile * kFloat));
  }
  const std::int64_t slab = slab_row(s, s.rank), panel = panel_units(s);
  const std::int64_t buffers = panel < units ? 2 : 1;
  std::int64_t of_sample = code * slab, of_m = kFloat, own = 0;
  if (gradient) of_sample += kFloat * slab;
  if (gradient && !in_place) of_m += code;
  of_sample += buffers * panel * code;
  if (s.gradients == Gradients::kBoth) {
    of_sample += buffers * panel * kFloat;
    own = buffers * panel * kFloat;
  }
  return static_cast<std::size_t>(
      s.samples * of_sample + s.n * own +
      sent(s) * (gradient ? kFloat : code) + panel * slab * of_m);
}

}  // namespace music
