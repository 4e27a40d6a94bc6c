#pragma once
// Exchanges of the losses of two views, held to what they tell plans of them.

#include "music/loss/barlow_twins.h"
#include "music/loss/joint_entropy.h"
#include "music/loss/vicreg.h"
#include "tests/support/exchange_log.h"

namespace music::test {

inline std::size_t check_exchanges(Device device, int ranks,
                                   std::int64_t samples,
                                   const Segments& segments,
                                   const JointEntropySpec& spec,
                                   DType codes = DType::kF32) {
  return check_exchanges(
      device, ranks, samples, segments.units(),
      [&](Graph& g, Value z, const SharedBatch& batch) {
        joint_entropy(g, z, segments, spec, batch, codes);
      });
}
inline std::size_t check_exchanges(Device device, int ranks,
                                   std::int64_t samples, std::int64_t units,
                                   const VicregSpec& spec,
                                   DType codes = DType::kF32) {
  return check_exchanges(device, ranks, samples, units,
                         [&](Graph& g, Value z, const SharedBatch& batch) {
                           vicreg(g, z, spec, batch, codes);
                         });
}
inline std::size_t check_exchanges(Device device, int ranks,
                                   std::int64_t samples, std::int64_t units,
                                   const BarlowTwinsSpec& spec,
                                   DType codes = DType::kF32) {
  return check_exchanges(device, ranks, samples, units,
                         [&](Graph& g, Value z, const SharedBatch& batch) {
                           barlow_twins(g, z, spec, batch, codes);
                         });
}

// Shards that differ by a sample, slabs that are empty or need padding, with
// and without gradients of the products. Sums over the batch are 3 of VICReg and
// 5 of Barlow Twins; a product is 4 lines, 5 with dB and 7 with dA too.
inline void check_view_loss_exchanges(Device device, DType codes) {
  for (const int ranks : {2, 3})
    for (const std::int64_t units : {48, 35, 6}) {
      CAPTURE(ranks);
      CAPTURE(units);
      const auto lines = [&](const auto& spec) {
        return check_exchanges(device, ranks, 7, units, spec, codes);
      };
      CHECK(lines(VicregSpec{}) == 3 + 2 * 5);
      CHECK(lines(VicregSpec{.covariance = 0}) == 3 + 2 * 4);
      CHECK(lines(BarlowTwinsSpec{}) == 5 + 7);
      CHECK(lines(BarlowTwinsSpec{.lambda = 0}) == 5 + 4);
      CHECK(lines(BarlowTwinsSpec{.scale = 0}) == 5 + 4);
    }
}

}  // namespace music::test
