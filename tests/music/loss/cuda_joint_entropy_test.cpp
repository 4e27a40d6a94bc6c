// The loss on the GPU, held to the reference in double.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/core/error.h"
#include "engine/graph/autograd.h"
#include "music/loss/cuda/joint_entropy.h"
#include "music/loss/joint_entropy.h"
#include "tests/support/compare.h"
#include "tests/support/cuda_device.h"
#include "tests/support/graph_run.h"
#include "tests/support/loss_cases.h"
#include "tests/support/loss_exchanges.h"
#include "tests/support/loss_run.h"
#include "tests/support/margin.h"
#include "tests/support/reference_loss.h"

namespace {

using namespace music;
using namespace music::test;

struct Problem {
  std::int64_t n;
  Segments segments;
  JointEntropySpec spec;
  double scale;
  std::optional<cuda::PanelWidths> widths = {};

  std::vector<float> first() const { return logits(n, segments, scale, 0); }
  std::vector<float> second() const {
    return second_view(first(), 0.5 * scale);
  }
};

using Result = LossResult;

Result run(const Problem& p, DType codes, const std::vector<float>& z1,
           const std::vector<float>& z2) {
  std::vector<float> z = z1;
  z.insert(z.end(), z2.begin(), z2.end());
  return run_loss_kernel(z, p.segments.units(), [&](const KernelRequest& r) {
    if (!p.widths)
      return cuda::make_joint_entropy(r, p.segments, p.spec, {}, codes);
    return cuda::make_joint_entropy(r, p.segments, p.spec, {}, codes,
                                    *p.widths);
  });
}

Result run(const Problem& p, DType codes) {
  return run(p, codes, p.first(), p.second());
}

// Largest relative errors.
struct Errors {
  double terms = 0, gradient = 0;
};

Errors compare(const Problem& p, DType codes, const ReferenceLoss& expected) {
  CAPTURE(p.n);
  CAPTURE(p.segments.units());
  CAPTURE(p.segments.count());
  CAPTURE(p.scale);
  CAPTURE(static_cast<int>(p.spec.norm));
  CAPTURE(static_cast<int>(p.spec.invariance));
  CAPTURE(p.spec.clamp);
  CAPTURE(name_of(codes));
  const Result got = run(p, codes);
  Errors e;
  const auto take = [](double& worst, double error) {
    if (!(error <= worst)) worst = error;
  };
  take(e.terms, error_of(got.terms.de, expected.terms.de));
  take(e.terms, error_of(got.terms.oe, expected.terms.oe));
  take(e.terms, error_of(got.terms.ti, expected.terms.ti));
  take(e.terms, error_of(got.terms.total, expected.terms.total));
  const std::size_t half = expected.dz1.size();
  const std::span dz(got.dz);
  take(e.gradient, norm_relative(dz.first(half), expected.dz1, 1e-30));
  take(e.gradient, norm_relative(dz.last(half), expected.dz2, 1e-30));
  CHECK(got.total == static_cast<float>(got.terms.total));
  const bool wide = codes == DType::kF32;
  CHECK(within(e.terms, wide ? 3e-6 : 1e-3, name_of(codes)));
  CHECK(within(e.gradient, wide ? kLossGradient : kLossGradientF16,
               fmt::format("{} N {} D {} scale {}", name_of(codes), p.n,
                           p.segments.units(), p.scale)));
  return e;
}

// Both kinds of codes, and what was largest.
struct Checker {
  Errors wide, narrow;

  void operator()(const Problem& p) {
    const auto expected = reference_loss(widen(p.first()), widen(p.second()),
                                         p.n, p.segments, p.spec);
    const auto worse = [](Errors& worst, const Errors& e) {
      worst.terms = std::max(worst.terms, e.terms);
      worst.gradient = std::max(worst.gradient, e.gradient);
    };
    worse(wide, compare(p, DType::kF32, expected));
    worse(narrow, compare(p, DType::kF16, expected));
  }
  ~Checker() {
    MESSAGE(fmt::format("largest errors: F32 codes terms {:.1e}, gradient "
                        "{:.1e}; F16 codes {:.1e}, {:.1e}",
                        wide.terms, wide.gradient, narrow.terms,
                        narrow.gradient));
  }
};

bool same_bits(const Result& a, const Result& b) {
  return a.dz == b.dz && a.mean_q == b.mean_q &&
         a.terms.de == b.terms.de && a.terms.oe == b.terms.oe &&
         a.terms.ti == b.terms.ti && a.terms.total == b.terms.total;
}

}  // namespace

TEST_SUITE("cuda_joint_entropy") {
  TEST_CASE("what it exchanges is what it tells plans") {
    on_device([] {
      JointEntropySpec no_gradient, local;
      no_gradient.oe = 0;
      local.scope = LossScope::kLocal;
      const Segments segments = Segments::equal(48, 8);
      // Rows of slabs and panels are padded.
      const Segments uneven = Segments::uneven({5, 30, 2, 10});
      for (const DType codes : {DType::kF32, DType::kF16})
        for (const int ranks : {2, 3}) {
          CAPTURE(ranks);
          const auto lines = [&](const Segments& s,
                                 const JointEntropySpec& spec) {
            return check_exchanges(Device::kCuda, ranks, 7, s, spec, codes);
          };
          CHECK(lines(segments, {}) == 9);
          CHECK(lines(segments, no_gradient) == 6);
          CHECK(lines(segments, local) == 2);
          CHECK(lines(uneven, {}) == 9);
          CHECK(lines(uneven, no_gradient) == 6);
        }
    });
  }

  TEST_CASE("loss and gradient equal the reference for every option") {
    on_device([] {
      Checker check;
      for (const auto& spec : loss_specs())
        for (const double scale : {0.1, 3.0}) {
          check({9, Segments::equal(32, 8), spec, scale});
          check({5, Segments::uneven({2, 17, 5, 3}), spec, scale});
        }
    });
  }

  TEST_CASE("any number of samples and any segments") {
    on_device([] {
      Checker check;
      for (const std::int64_t n : {1, 31, 33, 127})
        check({n, Segments::uneven({3, 2, 4}), {}, 1});
      check({4, Segments::equal(24, 24), {}, 1});
      // What lanes keep of a segment: 96 units, 256, none.
      for (const std::int64_t size : {32, 33, 96, 97, 256, 257, 301})
        check({3, Segments::uneven({5, size}), {}, 2});
      // More segments than a block has warps, and than a warp has lanes.
      check({3, Segments::equal(66, 2), {}, 1});
      check({3, Segments::equal(80, 2), {.norm = EntropyNorm::kEq3}, 1});
    });
  }

  TEST_CASE("panels and tiles of any width give one result") {
    on_device([] {
      Checker check;
      for (const auto& segments :
           {Segments::uneven({7, 30, 2, 11}), Segments::equal(64, 16)})
        for (const cuda::PanelWidths widths :
             {cuda::PanelWidths{8, 8}, {24, 8}, {32, 24}, {48, 48}, {16, 16}})
          check({6, segments, {}, 2, widths});
    });
  }

  TEST_CASE("weights of blocks") {
    on_device([] {
      Checker check;
      for (const auto& segments :
           {Segments::equal(32, 8), Segments::uneven({7, 30, 2, 11}),
            Segments::equal(66, 2), Segments::equal(8, 8)})
        for (JointEntropySpec spec : {JointEntropySpec{}, {.clamp = 1e-2},
                                      {.de = 0.5, .oe = 2, .temperature = 0.5},
                                      {.oe = 0}}) {
          spec.blocks = block_weights(segments.count());
          check({9, segments, spec, 1});
          check({9, segments, spec, 1, cuda::PanelWidths{24, 8}});
        }
    });
  }

  TEST_CASE("peaky codes keep the accuracy of the gradient") {
    on_device([] {
      Checker check;
      for (const double scale : {5.0, 10.0, 30.0})
        for (const double clamp : {1e-8, 0.0})
          check({64, Segments::equal(30, 10), {.clamp = clamp}, scale});
    });
  }

  TEST_CASE("means of q") {
    on_device([] {
      const Problem p{33, Segments::uneven({5, 40, 9}), {}, 2};
      const auto expected = reference_loss(widen(p.first()), widen(p.second()),
                                           p.n, p.segments, p.spec);
      const auto got = run(p, DType::kF16).mean_q;
      const std::size_t units = 54;
      for (std::size_t d = 0; d < units; ++d) {
        double mean[2] = {};
        for (std::size_t i = 0; i < 33; ++i) {
          mean[0] += expected.q1[i * units + d] / 33;
          mean[1] += expected.q2[i * units + d] / 33;
        }
        CHECK(near(static_cast<double>(got[d]), mean[0], 1e-5));
        CHECK(near(static_cast<double>(got[units + d]), mean[1], 1e-5));
      }
    });
  }

  TEST_CASE("one segment has no off-diagonal entropy") {
    on_device([] {
      for (const auto norm : {EntropyNorm::kEq5, EntropyNorm::kEq3}) {
        const auto r =
            run({3, Segments::equal(8, 8), {.norm = norm}, 1}, DType::kF32);
        CHECK(r.terms.oe == 0);
        CHECK(std::isfinite(r.terms.total));
      }
    });
  }

  TEST_CASE("non-finite logits show in the total") {
    on_device([] {
      for (const float bad : {std::numeric_limits<float>::quiet_NaN(),
                              std::numeric_limits<float>::infinity()})
        for (const std::size_t at : {0u, 17u, 47u})
          for (const auto form : {Invariance::kInner, Invariance::kNone})
            for (const DType codes : {DType::kF32, DType::kF16}) {
              const Problem p{3, Segments::equal(48, 16),
                              {.invariance = form}, 1};
              auto z = p.first();
              z[at] = bad;
              CHECK(!std::isfinite(run(p, codes, z, p.first()).total));
              CHECK(!std::isfinite(run(p, codes, p.first(), z).total));
            }
    });
  }

  TEST_CASE("logits of 1e4 stay finite") {
    on_device([] {
      for (const auto form :
           {Invariance::kInner, Invariance::kEq4, Invariance::kXent})
        for (const DType codes : {DType::kF32, DType::kF16}) {
          const Problem p{9, Segments::equal(24, 8), {.invariance = form}, 1e4};
          const auto r = run(p, codes);
          CHECK(std::isfinite(r.terms.total));
          for (const float g : r.dz) REQUIRE(std::isfinite(g));
        }
    });
  }

  TEST_CASE("two runs give the same bits") {
    on_device([] {
      const Problem p{33, Segments::uneven({7, 30, 2, 11}), {}, 2,
                      cuda::PanelWidths{24, 8}};
      for (const DType codes : {DType::kF32, DType::kF16})
        CHECK(same_bits(run(p, codes), run(p, codes)));
    });
  }

  TEST_CASE("the node: backward scales the gradient") {
    on_device([] {
      const Problem p{5, Segments::equal(12, 4), {}, 1};
      const auto z = p.first();
      Parameters parameters;
      const int slot = parameters.add("z", Shape{10, 12}, {});
      parameters.set_storage({.training = true, .device = Device::kCuda});
      parameters.allocate();
      auto both = z;
      const auto second = p.second();
      both.insert(both.end(), second.begin(), second.end());
      upload(parameters.value(slot).data, both.data(),
             both.size() * sizeof(float), Device::kCuda);
      Graph g(parameters);
      const auto loss = joint_entropy(g, g.parameter(slot), p.segments, p.spec,
                                      {}, DType::kF16);
      backward(g, loss.total, g.constant({1}, 8));
      BoundExecutable step(std::move(g), parameters);
      step->run();
      const Result direct = run(p, DType::kF16);
      const auto scaled = floats(parameters.gradient(slot), Device::kCuda);
      REQUIRE(scaled.size() == direct.dz.size());
      for (std::size_t i = 0; i < scaled.size(); ++i)
        REQUIRE(scaled[i] == 8 * direct.dz[i]);
      CHECK(floats(step->tensor(loss.total), Device::kCuda)[0] ==
            direct.total);
    });
  }

  TEST_CASE("settings out of range") {
    on_device([] {
      const auto message = [](const JointEntropySpec& spec, DType codes) {
        try {
          run({4, Segments::equal(8, 4), spec, 1}, codes);
        } catch (const Error& e) {
          return std::string(e.what());
        }
        return std::string("no error");
      };
      CHECK(message({.temperature = 0}, DType::kF32) ==
            "[joint_entropy] temperature 0: expected a number above 0");
      CHECK(message({}, DType::kBF16).starts_with(
          "[joint_entropy] codes in BF16, expected F32 or F16"));
    });
  }
}
