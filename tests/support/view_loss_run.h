#pragma once
// The losses of VICReg and Barlow Twins by the node of a graph, on either
// device, held to reference_views.h.

#include <doctest/doctest.h>

#include <cmath>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "music/loss/cuda/view_losses.h"
#include "music/loss/loss_node.h"
#include "tests/support/compare.h"
#include "tests/support/graph_run.h"
#include "tests/support/margin.h"
#include "tests/support/reference_views.h"
#include "tests/support/view_loss_cases.h"

namespace music::test {

struct ViewLossResult {
  float total = 0;
  std::vector<double> terms;
  std::vector<float> dz, deviation;  // [2N,D], [2,D]
};

// Where and with whom: the batch is of all processes, z of this one.
struct ViewLossPlace {
  Device device = Device::kCpu;
  SharedBatch batch = {};
  DType codes = DType::kF32;
  std::optional<cuda::PanelWidths> widths = {};  // on a GPU
};

// add(graph, z) records the loss. Every tensor lies between guards.
template <typename Add>
ViewLossResult run_view_loss(const std::vector<float>& z, std::int64_t units,
                             Device device, Add&& add) {
  Parameters parameters;
  parameters.set_storage({.device = device});
  parameters.allocate();
  Graph g(parameters);
  const Shape shape{static_cast<std::int64_t>(z.size()) / units, units};
  const Value in = g.input("z", shape, DType::kF32);
  const auto loss = add(g, in);
  const Value dz = g.nodes().back().outputs[1];
  const GuardedRun done(std::move(g), parameters, {{in.id, z.data()}});
  CHECK(done.problem() == "");
  ViewLossResult r;
  r.total = floats(done.tensor(loss.total), device)[0];
  const Tensor terms = done.tensor(loss.terms);
  r.terms.resize(static_cast<std::size_t>(terms.elements()));
  download(r.terms.data(), terms.data, terms.bytes(), device);
  r.dz = floats(done.tensor(dz), device);
  r.deviation = floats(done.tensor(loss.deviation), device);
  return r;
}

inline ViewLossResult run_loss(const VicregSpec& spec,
                               const std::vector<float>& z, std::int64_t units,
                               const ViewLossPlace& at = {}) {
  if (at.widths)
    return run_view_loss(z, units, at.device, [&](Graph& g, Value in) {
      return add_view_loss(g, "vicreg", in, 4, [=](const KernelRequest& r) {
        return cuda::make_vicreg(r, spec, at.batch, at.codes, *at.widths);
      });
    });
  return run_view_loss(z, units, at.device, [&](Graph& g, Value in) {
    return vicreg(g, in, spec, at.batch, at.codes);
  });
}
inline ViewLossResult run_loss(const BarlowTwinsSpec& spec,
                               const std::vector<float>& z, std::int64_t units,
                               const ViewLossPlace& at = {}) {
  if (at.widths)
    return run_view_loss(z, units, at.device, [&](Graph& g, Value in) {
      return add_view_loss(g, "barlow", in, 3, [=](const KernelRequest& r) {
        return cuda::make_barlow_twins(r, spec, at.batch, at.codes,
                                       *at.widths);
      });
    });
  return run_view_loss(z, units, at.device, [&](Graph& g, Value in) {
    return barlow_twins(g, in, spec, at.batch, at.codes);
  });
}

inline ReferenceViewLoss reference_of(const VicregSpec& spec,
                                      const std::vector<double>& z,
                                      std::int64_t units) {
  return reference_vicreg(z, static_cast<std::size_t>(units), spec);
}
inline ReferenceViewLoss reference_of(const BarlowTwinsSpec& spec,
                                      const std::vector<double>& z,
                                      std::int64_t units) {
  return reference_barlow_twins(z, static_cast<std::size_t>(units), spec);
}

// Of the parts of a batch's loss.
struct ViewLossBounds {
  double terms, gradient, deviation = 1e-6;
  // Of a gradient's norm, over the loss: what is 0 but for rounding.
  double floor = 1e-4;
  // Two samples are normalised to 1 and -1 whatever they are: the statistics
  // take the gradient of Barlow Twins away.
  ViewLossBounds of(const ViewCase& c) const {
    ViewLossBounds b = *this;
    if (c.n == 2) b.floor = 1;
    return b;
  }
};

// On a GPU, with codes of either kind. VICReg's products are fp32 either way.
inline ViewLossBounds gpu_bounds(const VicregSpec&, DType) {
  return {3e-6, 1e-5};
}
// Codes and G are rounded to 2^-11 each, and so are what they are summed to.
inline ViewLossBounds gpu_bounds(const BarlowTwinsSpec&, DType codes) {
  if (codes == DType::kF32) return {3e-6, 1e-5};
  return {1e-3, 4 * 0x1p-11};
}

// r against the rows `mine` of the reference's gradient (all of them: every
// row of e.dz).
inline void check_view_loss(const ViewLossResult& r, const ReferenceViewLoss& e,
                            const std::vector<double>& mine,
                            const ViewLossBounds& bounds,
                            const std::string& what) {
  REQUIRE(r.terms.size() == e.terms.size());
  for (std::size_t t = 0; t < r.terms.size(); ++t)
    CHECK(near(r.terms[t], e.terms[t], bounds.terms, what));
  CHECK(r.total == static_cast<float>(r.terms.back()));
  const double floor = bounds.floor * std::abs(e.total());
  const std::size_t half = mine.size() / 2;
  const std::span got(r.dz);
  const std::span expected(mine);
  CHECK(within(norm_relative(got.first(half), expected.first(half), floor),
               bounds.gradient, what));
  CHECK(within(norm_relative(got.last(half), expected.last(half), floor),
               bounds.gradient, what));
  CHECK(within(max_relative(r.deviation, e.deviation, 1e-3), bounds.deviation,
               what));
}

}  // namespace music::test
