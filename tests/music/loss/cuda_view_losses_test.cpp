// The losses of VICReg and Barlow Twins on the GPU, held to the reference in
// double.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "engine/core/error.h"
#include "engine/graph/autograd.h"
#include "dist/planned.h"
#include "tests/support/cuda_device.h"
#include "tests/support/loss_exchanges.h"
#include "tests/support/view_loss_run.h"

namespace {

using namespace music;
using namespace music::test;

template <typename Spec>
void check(const Spec& spec, const ViewCase& c,
           std::optional<cuda::PanelWidths> widths = {}) {
  CAPTURE(c.n);
  CAPTURE(c.units);
  CAPTURE(c.scale);
  CAPTURE(c.mean);
  CAPTURE(c.common);
  const auto z = c.z();
  const auto e = reference_of(spec, {z.begin(), z.end()}, c.units);
  for (const DType codes : {DType::kF32, DType::kF16}) {
    const ViewLossPlace at{Device::kCuda, {}, codes, widths};
    check_view_loss(run_loss(spec, z, c.units, at), e, e.dz,
                    gpu_bounds(spec, codes).of(c),
                    fmt::format("N {} D {} scale {} mean {} common {} codes {}",
                                c.n, c.units, c.scale, c.mean, c.common,
                                name_of(codes)));
  }
}

template <typename Spec>
void check_non_finite(const Spec& spec) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(),
                          std::numeric_limits<float>::infinity()})
    for (const std::size_t at : {0u, 37u, 159u})
      for (const DType codes : {DType::kF32, DType::kF16}) {
        auto z = ViewCase{8, 10}.z();
        z[at] = bad;
        const auto r = run_loss(spec, z, 10, {Device::kCuda, {}, codes});
        CHECK(!std::isfinite(r.total));
        for (const double t : r.terms) CHECK(!std::isfinite(t));
      }
}

template <typename Spec>
void check_bits(const Spec& spec, DType codes) {
  const auto z = ViewCase{33, 50}.z();
  const ViewLossPlace at{Device::kCuda, {}, codes, cuda::PanelWidths{24, 8}};
  const auto a = run_loss(spec, z, 50, at), b = run_loss(spec, z, 50, at);
  CHECK(a.dz == b.dz);
  CHECK(a.deviation == b.deviation);
  CHECK(a.terms == b.terms);
}

// What plans are told of the workspace against the kernel's, of 2048 samples.
template <typename Add>
void check_workspace(int ranks, std::int64_t units, Add&& add) {
  CAPTURE(ranks);
  CAPTURE(units);
  const auto place = dist::make_planned_communicator(ranks - 1, ranks);
  Parameters p;
  p.set_storage({.device = Device::kCuda});
  Graph g(p);
  const std::int64_t n = shard_size(2048, ranks - 1, ranks);
  add(g, g.input("z", {2 * n, units}, DType::kF32),
      SharedBatch{place.get(), 2048});
  const Node& node = g.nodes()[0];
  const auto request = request_for(g, node, Device::kCuda);
  const auto told = static_cast<double>(node.workspace(request));
  const auto taken =
      static_cast<double>(node.make(request)->workspace_bytes());
  CHECK(told <= taken);
  // Sums in parts and alignment are not told, nor what matrix products take,
  // which is next to nothing where they are emulated.
#ifdef MUSIC_EMULATED
  CHECK(within(relative_error(told, taken), 2e-3));
#endif
}

}  // namespace

TEST_SUITE("cuda_view_losses") {
  TEST_CASE("what it exchanges is what it tells plans") {
    on_device([] {
      for (const DType codes : {DType::kF32, DType::kF16})
        check_view_loss_exchanges(Device::kCuda, codes);
    });
  }

  TEST_CASE("two panels go round") {
    if (!have_device()) return;
    // A panel of 8 MB is narrower than the product.
    CHECK(check_exchanges(Device::kCuda, 2, 8192, 260, BarlowTwinsSpec{}) ==
          5 + 7 + 4);
  }

  TEST_CASE("the workspace that plans are told is the kernel's") {
    if (!have_device()) return;
    for (const DType codes : {DType::kF32, DType::kF16})
      for (const int ranks : {1, 2, 3})
        for (const std::int64_t units : {8192, 4099}) {
          CAPTURE(name_of(codes));
          for (const double covariance : {0, 1})
            check_workspace(ranks, units, [&](Graph& g, Value z, auto batch) {
              vicreg(g, z, {.covariance = covariance}, batch, codes);
            });
          for (const double lambda : {0, 1})
            check_workspace(ranks, units, [&](Graph& g, Value z, auto batch) {
              barlow_twins(g, z, {.lambda = lambda}, batch, codes);
            });
        }
  }

  TEST_CASE("values worked out apart") {
    on_device([] {
      const auto z = golden_views();
      const std::vector<float> narrow(z.begin(), z.end());
      const auto v = run_loss(VicregSpec{}, narrow, 6, {Device::kCuda});
      CHECK(near(v.total, 9.6971929179, 2e-6));
      CHECK(near(v.dz[23], -.3240705124, 1e-5));
      const auto b = run_loss(BarlowTwinsSpec{}, narrow, 6, {Device::kCuda});
      CHECK(near(b.total, .1187273204, 1e-6));
      CHECK(near(b.dz[0], -.1410354616, 1e-6));
    });
  }

  TEST_CASE("loss and gradient equal the reference for every option") {
    on_device([] {
      for (const auto& c : view_cases()) {
        for (const auto& spec : vicreg_specs()) check(spec, c);
        for (const auto& spec : barlow_twins_specs()) check(spec, c);
      }
    });
  }

  TEST_CASE("panels and tiles of any width give one result") {
    on_device([] {
      for (const cuda::PanelWidths widths :
           {cuda::PanelWidths{8, 8}, {24, 8}, {32, 24}, {48, 48}, {16, 16}}) {
        check(VicregSpec{}, {6, 50}, widths);
        check(BarlowTwinsSpec{}, {6, 50}, widths);
        check(BarlowTwinsSpec{}, {7, 64}, widths);
      }
    });
  }

  TEST_CASE("non-finite embeddings show in the total") {
    on_device([] {
      for (const auto& spec : vicreg_specs()) check_non_finite(spec);
      for (const auto& spec : barlow_twins_specs()) check_non_finite(spec);
    });
  }

  TEST_CASE("two runs give the same bits") {
    on_device([] {
      check_bits(VicregSpec{}, DType::kF32);
      check_bits(BarlowTwinsSpec{}, DType::kF32);
      check_bits(BarlowTwinsSpec{}, DType::kF16);
    });
  }

  TEST_CASE("in a captured graph backward scales the gradient") {
    on_device([] {
      const ViewCase c{5, 12};
      const auto z = c.z();
      for (const bool vicreg_too : {false, true}) {
        Parameters parameters;
        const int slot = parameters.add("z", Shape{10, 12}, {});
        parameters.set_storage({.training = true, .device = Device::kCuda});
        parameters.allocate();
        upload(parameters.value(slot).data, z.data(), z.size() * sizeof(float),
               Device::kCuda);
        Graph g(parameters);
        const Value total =
            vicreg_too ? vicreg(g, g.parameter(slot), {}).total
                       : barlow_twins(g, g.parameter(slot), {}, {},
                                      DType::kF16).total;
        backward(g, total, g.constant({1}, 8));
        BoundExecutable step(std::move(g), parameters);
        step.run();
        const ViewLossPlace at{Device::kCuda, {},
                               vicreg_too ? DType::kF32 : DType::kF16};
        const auto direct = vicreg_too
                                ? run_loss(VicregSpec{}, z, 12, at)
                                : run_loss(BarlowTwinsSpec{}, z, 12, at);
        const auto scaled = floats(parameters.gradient(slot), Device::kCuda);
        for (std::size_t i = 0; i < scaled.size(); ++i)
          REQUIRE(scaled[i] == 8 * direct.dz[i]);
      }
    });
  }

  TEST_CASE("settings out of range") {
    on_device([] {
      const auto message = [](const auto& spec, DType codes) {
        try {
          run_loss(spec, ViewCase{4, 3}.z(), 3, {Device::kCuda, {}, codes});
        } catch (const Error& e) {
          return std::string(e.what());
        }
        return std::string("no error");
      };
      CHECK(message(VicregSpec{.epsilon = 0}, DType::kF32) ==
            "[vicreg] epsilon 0: expected a number above 0");
      CHECK(message(BarlowTwinsSpec{.scale = NAN}, DType::kF32) ==
            "[barlow_twins] lambda 0.0051, scale nan: expected finite numbers");
      CHECK(message(BarlowTwinsSpec{}, DType::kBF16)
                .starts_with("[barlow_twins] codes in BF16, expected F32 or "
                             "F16"));
    });
  }
}
