#include "music/loss/joint_entropy_price.h"

#include <algorithm>

#include "music/loss/column_slabs.h"
#include "music/loss/cpu/tile_slabs.h"
#include "music/loss/slab_exchanges.h"

namespace music {
namespace {

using Kind = dist::Collective::Kind;

std::int64_t code_bytes(const JointEntropyShare& s) {
  return static_cast<std::int64_t>(size_of(s.codes));
}

// Units of q' that go round at a time.
std::int64_t panel_units(const JointEntropyShare& s) {
  const std::int64_t units = s.segments.units();
  return s.device == Device::kCpu
             ? cpu::panel_units(s.samples, units)
             : std::min(units, gpu_panel_units(s.samples, s.segments, s.ranks,
                                               code_bytes(s)));
}

}  // namespace

void joint_entropy_exchanges(const JointEntropyShare& s, dist::Timetable& t) {
  const auto units = static_cast<double>(s.segments.units());
  const bool gpu = s.device == Device::kCuda;
  if (s.spec.scope == LossScope::kLocal) {
    const auto average_codes = [&] {
      t.run(Kind::kAllReduce, 2 * units * sizeof(float));
    };
    if (gpu) average_codes();
    t.compute(1, 1);
    t.run(Kind::kAllReduce, 3 * sizeof(double));
    if (!gpu) average_codes();
    return;
  }
  // Over the batch, of each unit.
  const int sums = gpu ? 5 : 3;
  t.run(Kind::kAllReduce, sums * units * sizeof(double));
  const bool gradient = s.spec.oe != 0;
  if (s.segments.count() > 1)
    tell({column_slabs(s.segments, s.ranks), s.n, s.samples, s.rank,
          panel_units(s), size_of(s.codes), gradient, gradient}, t);
  else
    t.compute(1, 1);
  t.run(Kind::kAllReduce, 3 * sizeof(double));
}

std::size_t gpu_joint_entropy_workspace(const JointEntropyShare& s) {
  const std::int64_t units = s.segments.units(), code = code_bytes(s);
  const auto codes = 2 * s.n * units * code;
  if (s.ranks == 1)
    return static_cast<std::size_t>(
        codes + units * std::min<std::int64_t>(units, 4096) * (code + 2));
  const std::int64_t panel = panel_units(s);
  const std::int64_t columns =
      (units + s.ranks - 1) / s.ranks + s.segments.size(0);
  return static_cast<std::size_t>(
      codes + s.n * units * 4 + s.samples * columns * (code + 4) +
      2 * s.samples * panel * (code + 4) + panel * columns * (code + 4));
}

}  // namespace music
