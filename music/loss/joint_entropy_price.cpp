#include "music/loss/joint_entropy_price.h"

#include <algorithm>

#include "music/loss/column_slabs.h"
#include "music/loss/product_price.h"

namespace music {
namespace {

using Kind = dist::Collective::Kind;

ProductShare product_of(const JointEntropyShare& s) {
  return {.slabs = column_slabs(s.segments, s.ranks),
          .n = s.n,
          .samples = s.samples,
          .rank = s.rank,
          .device = s.device,
          .codes = s.codes,
          .gradients =
              s.spec.oe != 0 ? Gradients::kBoth : Gradients::kNone};
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
  if (s.segments.count() > 1)
    tell(product_of(s), t);
  else
    t.compute(1, 1);
  t.run(Kind::kAllReduce, 3 * sizeof(double));
}

std::size_t gpu_joint_entropy_workspace(const JointEntropyShare& s) {
  const std::int64_t units = s.segments.units(), code = static_cast<std::int64_t>(size_of(s.codes));
  const auto codes = 2 * s.n * units * code;
  if (s.ranks == 1)
    return static_cast<std::size_t>(
        codes + units * std::min<std::int64_t>(units, 4096) * (code + 2));
  const std::int64_t panel = panel_units(product_of(s));
  const std::int64_t columns =
      (units + s.ranks - 1) / s.ranks + s.segments.size(0);
  return static_cast<std::size_t>(
      codes + s.n * units * 4 + s.samples * columns * (code + 4) +
      2 * s.samples * panel * (code + 4) + panel * columns * (code + 4));
}

}  // namespace music
