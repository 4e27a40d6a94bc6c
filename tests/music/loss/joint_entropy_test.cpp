#include "music/loss/cpu/joint_entropy.h"

#include <doctest/doctest.h>
#include <omp.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "engine/core/buffer.h"
#include "engine/core/error.h"
#include "engine/core/rng.h"
#include "music/loss/joint_entropy_math.h"
#include "tests/support/compare.h"
#include "tests/support/loss_cases.h"
#include "tests/support/margin.h"
#include "tests/support/reference_loss.h"

namespace {

using namespace music;
using test::error_of;
using test::logits;
using test::near;
using test::second_view;
using test::widen;
using test::within;

struct Result {
  JointEntropyTerms terms;
  std::vector<float> dz1, dz2, mean_q;
};

Result run(const std::vector<float>& z1, const std::vector<float>& z2,
           std::int64_t n, const Segments& segments,
           const JointEntropySpec& spec, int threads = 2) {
  const cpu::JointEntropy kernel({n, &segments, spec, threads});
  Buffer workspace(kernel.workspace_bytes());
  // Stale contents of the workspace must not matter.
  std::memset(workspace.data(), 0xFF, workspace.bytes());
  Result r;
  r.dz1.assign(z1.size(), 7);
  r.dz2.assign(z2.size(), 7);
  r.mean_q.assign(static_cast<std::size_t>(2 * segments.units()), 7);
  kernel.run(z1.data(), z2.data(), r.dz1.data(), r.dz2.data(),
             r.mean_q.data(), r.terms, workspace.data());
  return r;
}

// |a - b| / |b| in the 2-norm.
template <typename T>
double distance(const std::vector<float>& a, const std::vector<T>& b,
                double floor = 1e-30) {
  return test::norm_relative(a, b, floor);
}

void check_against_reference(std::int64_t n, const Segments& segments,
                             const JointEntropySpec& spec, double scale) {
  CAPTURE(n);
  CAPTURE(segments.units());
  CAPTURE(segments.count());
  CAPTURE(scale);
  CAPTURE(static_cast<int>(spec.norm));
  CAPTURE(static_cast<int>(spec.invariance));
  const auto z1 = logits(n, segments, scale, 0);
  const auto z2 = second_view(z1, 0.5 * scale);
  const auto expected =
      test::reference_loss(widen(z1), widen(z2), n, segments, spec);
  const auto got = run(z1, z2, n, segments, spec);
  // An ulp of the fp32 logarithms summed, up to 2 log D_S, is 1e-6.
  CHECK(within(error_of(got.terms.de, expected.terms.de), 3e-6));
  CHECK(within(error_of(got.terms.oe, expected.terms.oe), 3e-6));
  CHECK(within(error_of(got.terms.ti, expected.terms.ti), 3e-6));
  CHECK(within(error_of(got.terms.total, expected.terms.total), 3e-6));
  const std::string what = fmt::format(
      "N {} D {} S {} scale {}", n, segments.units(), segments.count(), scale);
  // Of one sample P is q' q'', whose gradient the softmax takes away: what it
  // takes away is rounded, q / S.
  const double floor =
      n > 1 ? 1e-30
            : test::norm(expected.q1) / static_cast<double>(segments.count());
  CHECK(within(distance(got.dz1, expected.dz1, floor), 1e-5, what));
  CHECK(within(distance(got.dz2, expected.dz2, floor), 1e-5, what));
}

// Codes as logits: unit code[i][s] is `gap` above the others.
std::vector<float> one_hot(const std::vector<std::vector<int>>& codes,
                           const Segments& segments, float gap) {
  std::vector<float> z;
  for (const auto& code : codes)
    for (std::int64_t s = 0; s < segments.count(); ++s)
      for (int d = 0; d < segments.size(s); ++d)
        z.push_back(d == code[static_cast<std::size_t>(s)] ? gap : 0.0f);
  return z;
}

}  // namespace

TEST_SUITE("joint_entropy") {
  TEST_CASE("the reference's gradient is that of its loss") {
    std::vector<JointEntropySpec> specs(7);
    specs[1].norm = EntropyNorm::kEq3;
    specs[2].invariance = Invariance::kEq4;
    specs[3].invariance = Invariance::kXent;
    specs[4].invariance = Invariance::kNone;
    specs[5].temperature = 0.5;
    specs[5].de = 0.7, specs[5].oe = 1.3, specs[5].ti = 0.4;
    specs[6].clamp = 0.05;  // some of q is clamped
    const std::int64_t n = 3;
    for (const auto& segments :
         {Segments::equal(8, 4), Segments::uneven({2, 5, 3})})
      for (JointEntropySpec spec : specs) {
        // All but the first with weights of blocks too.
        if (spec.norm == EntropyNorm::kEq3 || spec.temperature < 1 ||
            spec.clamp > 0.01)
          spec.blocks = test::block_weights(segments.count());
        auto z1 = widen(logits(n, segments, 1, 0));
        auto z2 = widen(logits(n, segments, 1, 1));
        const auto r = test::reference_loss(z1, z2, n, segments, spec);
        for (auto* z : {&z1, &z2})
          for (std::size_t i = 0; i < z->size(); ++i) {
            const double h = 1e-5, keep = (*z)[i];
            (*z)[i] = keep + h;
            const double up =
                test::reference_loss(z1, z2, n, segments, spec).terms.total;
            (*z)[i] = keep - h;
            const double down =
                test::reference_loss(z1, z2, n, segments, spec).terms.total;
            (*z)[i] = keep;
            const double analytic = (z == &z1 ? r.dz1 : r.dz2)[i];
            CHECK(within(error_of((up - down) / (2 * h), analytic), 1e-6));
          }
      }
  }

  TEST_CASE("logarithm and exponential keep their accuracy") {
    Rng rng(3, RngPurpose::kTest);
    for (int i = 0; i < 20000; ++i) {
      const float x = static_cast<float>(
          std::exp(i % 2 ? -80 + 100 * rng.uniform_double()
                         : 0.7 * rng.uniform_double() - 0.35));
      const double log_x = std::log(static_cast<double>(x));
      REQUIRE(within(std::abs(static_cast<double>(loss_log(x)) - log_x),
                     2e-7 * std::abs(log_x)));
      const float y = -87.0f * rng.uniform();
      const double exp_y = std::exp(static_cast<double>(y));
      REQUIRE(within(std::abs(static_cast<double>(loss_exp(y)) - exp_y),
                     2e-7 * exp_y));
    }
    CHECK(loss_log(1) == 0);
    CHECK(loss_exp(0) == 1);
    CHECK(loss_exp(-1e5f) == 0);
    CHECK(std::isnan(loss_exp(NAN)));
  }

  TEST_CASE("loss and gradient equal the reference for every option") {
    for (const auto& spec : test::loss_specs())
      for (double scale : {0.1, 3.0}) {
        check_against_reference(33, Segments::equal(64, 16), spec, scale);
        check_against_reference(
            32, Segments::uneven({2, 17, 5, 30, 3}), spec, scale);
      }
  }

  TEST_CASE("any number of samples, segments and tiles") {
    for (std::int64_t n : {1, 7, 33, 64})
      for (double scale : {0.1, 1.0, 10.0}) {
        check_against_reference(n, Segments::equal(90, 30), {}, scale);
        check_against_reference(n, Segments::equal(24, 24), {}, scale);
        check_against_reference(n, Segments::uneven({70, 2, 11}), {}, scale);
      }
    // Tile edges cut segments, and a segment spans tiles.
    check_against_reference(40, Segments::equal(1120, 80), {}, 1);
    check_against_reference(24, Segments::uneven({60, 600, 500, 31}), {}, 1);
  }

  TEST_CASE("weights of blocks") {
    for (const auto& segments :
         {Segments::equal(64, 16), Segments::uneven({2, 17, 5, 30, 3}),
          Segments::uneven({60, 600, 500, 31}), Segments::equal(24, 24)})
      for (JointEntropySpec spec : {JointEntropySpec{}, {.clamp = 1e-2},
                                    {.de = 0.5, .oe = 2, .temperature = 0.5},
                                    {.oe = 0}}) {
        spec.blocks = test::block_weights(segments.count());
        check_against_reference(33, segments, spec, 1);
      }
    // Whole tiles of blocks without weight are not made.
    JointEntropySpec sparse;
    sparse.blocks = {1, 0, 0, 1, 0, 0, 1, 2, 1};
    check_against_reference(33, Segments::uneven({420, 800, 30}), sparse, 1);
  }

  TEST_CASE("weights of 1 are no weights; 0 leaves the invariance") {
    const auto segments = Segments::uneven({7, 30, 2, 11});
    const auto z1 = logits(20, segments, 2, 0);
    const auto z2 = second_view(z1, 1);
    JointEntropySpec spec;
    const auto plain = run(z1, z2, 20, segments, spec);
    spec.blocks.assign(16, 1);
    const auto ones = run(z1, z2, 20, segments, spec);
    CHECK(near(ones.terms.oe, plain.terms.oe, 1e-6));
    CHECK(ones.terms.de == plain.terms.de);
    CHECK(within(distance(ones.dz1, plain.dz1), 1e-6));
    spec.blocks.assign(16, 0);
    const auto zeros = run(z1, z2, 20, segments, spec);
    const auto apart =
        run(z1, z2, 20, segments, {.de = 0, .oe = 0});
    CHECK(zeros.terms.de == 0);
    CHECK(zeros.terms.oe == 0);
    CHECK(zeros.terms.ti == plain.terms.ti);
    CHECK(zeros.dz1 == apart.dz1);
  }

  TEST_CASE("peaky codes keep the accuracy of the gradient") {
    for (double scale : {5.0, 10.0, 30.0})
      for (double clamp : {1e-8, 0.0})
        check_against_reference(128, Segments::equal(160, 40),
                                {.clamp = clamp}, scale);
  }

  TEST_CASE("one segment has no off-diagonal entropy") {
    const auto segments = Segments::equal(80, 80);
    const auto z = logits(8, segments, 1, 0);
    const auto r = run(z, z, 8, segments, {});
    CHECK(r.terms.oe == 0);
    CHECK(std::isfinite(r.terms.total));
    CHECK(run(z, z, 8, segments, {.norm = EntropyNorm::kEq3}).terms.oe == 0);
  }

  TEST_CASE("uniform codes: the values at initialisation") {
    const auto segments = Segments::equal(8160, 80);
    const std::vector<float> z(2 * 8160, 0.3f);
    const auto r = run(z, z, 2, segments, {});
    const double log_ds = std::log(80.0);
    CHECK(near(r.terms.de, -2 * log_ds / 80, 1e-6));
    CHECK(near(r.terms.oe, -2 * log_ds, 1e-6));
    CHECK(near(r.terms.ti, log_ds, 1e-6));
    // -2 log 80 / 80, -2 log 80, log 80 and their sum.
    CHECK(within(std::abs(r.terms.de + 0.109551), 5e-6));
    CHECK(within(std::abs(r.terms.oe + 8.764053), 5e-6));
    CHECK(within(std::abs(r.terms.ti - 4.382027), 5e-6));
    CHECK(within(std::abs(r.terms.total + 4.491577), 5e-6));
    for (float g : r.dz1) REQUIRE(within(std::abs(g), 1e-7f));
    for (float q : r.mean_q) REQUIRE(within(std::abs(q * 80 - 1), 1e-6f));
  }

  TEST_CASE("collapse to one code is 0") {
    const auto segments = Segments::equal(800, 80);
    const auto z =
        one_hot(std::vector(64, std::vector(10, 3)), segments, 200);
    const auto exact = run(z, z, 64, segments, {.clamp = 0}).terms;
    CHECK(within(std::abs(exact.de), 1e-6));
    CHECK(within(std::abs(exact.oe), 1e-6));
    CHECK(within(std::abs(exact.ti), 1e-6));
    CHECK(within(std::abs(run(z, z, 64, segments, {}).terms.total), 1e-3));
  }

  TEST_CASE("ideal codes: one-hot, every pair of units once") {
    const auto segments = Segments::equal(160, 80);
    std::vector<std::vector<int>> codes;
    for (int a = 0; a < 80; ++a)
      for (int b = 0; b < 80; ++b) codes.push_back({a, b});
    const auto z = one_hot(codes, segments, 100);
    const auto r = run(z, z, 6400, segments, {.clamp = 0}).terms;
    CHECK(near(r.de, -std::log(80.0), 1e-6));
    CHECK(near(r.oe, -2 * std::log(80.0), 1e-6));
    CHECK(within(std::abs(r.ti), 1e-6));
    CHECK(within(std::abs(r.total + 13.146), 5e-4));
    const auto clamped = run(z, z, 6400, segments, {}).terms;
    CHECK(near(clamped.de, -std::log(80.0), 1e-6));
  }

  TEST_CASE("random hard codes of 2048 samples") {
    // Block means do not depend on S, so fewer segments than 102 do.
    const auto segments = Segments::equal(960, 80);
    Rng rng(5, RngPurpose::kTest);
    std::vector<std::vector<int>> codes(2048, std::vector<int>(12));
    for (auto& code : codes)
      for (int& d : code) d = static_cast<int>(rng.below(80));
    const auto z = one_hot(codes, segments, 30);
    const auto r = run(z, z, 2048, segments, {}).terms;
    CHECK(within(std::abs(r.de + 4.36), 0.01));
    CHECK(within(std::abs(r.oe + 7.42), 0.01));
    CHECK(within(std::abs(r.ti), 1e-5));
    CHECK(within(std::abs(r.total + 11.79), 0.02));
  }

  TEST_CASE("logits of 1e4 stay finite and exact") {
    const auto segments = Segments::equal(48, 16);
    Rng rng(6, RngPurpose::kTest);
    std::vector<float> z1(9 * 48), z2(9 * 48);
    for (float& v : z1) v = rng.bernoulli(0.3) ? 1e4f : -1e4f;
    for (float& v : z2) v = rng.bernoulli(0.3) ? 1e4f : -1e4f;
    for (auto form : {Invariance::kInner, Invariance::kEq4, Invariance::kXent})
      for (double clamp : {1e-8, 0.0}) {
        const JointEntropySpec spec{.invariance = form, .clamp = clamp};
        const auto r = run(z1, z2, 9, segments, spec);
        CHECK(std::isfinite(r.terms.total));
        for (float g : r.dz1) REQUIRE(std::isfinite(g));
        for (float g : r.dz2) REQUIRE(std::isfinite(g));
        if (clamp == 0) continue;  // the reference has log 0 there
        const auto expected =
            test::reference_loss(widen(z1), widen(z2), 9, segments, spec);
        CHECK(within(error_of(r.terms.total, expected.terms.total), 1e-6));
        CHECK(within(distance(r.dz1, expected.dz1), 1e-5));
      }
  }

  TEST_CASE("non-finite logits show in the total") {
    const auto segments = Segments::equal(64, 16);
    for (float bad : {std::numeric_limits<float>::quiet_NaN(),
                      std::numeric_limits<float>::infinity()})
      for (std::size_t at : {0u, 17u, 63u}) {
        auto z = logits(4, segments, 1, 0);
        const auto good = z;
        z[at] = bad;
        for (auto form : {Invariance::kInner, Invariance::kNone}) {
          const JointEntropySpec spec{.invariance = form};
          CHECK_FALSE(std::isfinite(run(z, good, 4, segments, spec).terms.total));
          CHECK_FALSE(std::isfinite(run(good, z, 4, segments, spec).terms.total));
        }
      }
  }

  TEST_CASE("threads share the work, not the result") {
    const auto segments = Segments::equal(1120, 80);
    const auto z1 = logits(64, segments, 2, 0);
    const auto z2 = second_view(z1, 1);
    const int before = omp_get_max_threads();
    const auto one = run(z1, z2, 64, segments, {}, 1);
    CHECK(omp_get_max_threads() == before);
    for (int threads : {2, 3}) {
      const auto many = run(z1, z2, 64, segments, {}, threads);
      CHECK(within(error_of(many.terms.total, one.terms.total), 1e-6));
      CHECK(within(distance(many.dz1, one.dz1), 1e-6));
      CHECK(within(distance(many.dz2, one.dz2), 1e-6));
      const auto again = run(z1, z2, 64, segments, {}, threads);
      CHECK(again.dz1 == many.dz1);
      CHECK(again.dz2 == many.dz2);
      CHECK(again.terms.total == many.terms.total);
    }
  }

  TEST_CASE("means of q") {
    const auto segments = Segments::uneven({5, 70, 9});
    const auto z1 = logits(33, segments, 2, 0);
    const auto z2 = logits(33, segments, 2, 1);
    const auto r = run(z1, z2, 33, segments, {});
    const auto expected =
        test::reference_loss(widen(z1), widen(z2), 33, segments, {});
    for (std::size_t d = 0; d < 84; ++d) {
      double mean1 = 0, mean2 = 0;
      for (std::size_t i = 0; i < 33; ++i) {
        mean1 += expected.q1[i * 84 + d] / 33;
        mean2 += expected.q2[i * 84 + d] / 33;
      }
      CHECK(near(static_cast<double>(r.mean_q[d]), mean1, 1e-5));
      CHECK(near(static_cast<double>(r.mean_q[84 + d]), mean2, 1e-5));
    }
  }

  TEST_CASE("the paper's size needs little memory") {
    const auto segments = Segments::equal(8160, 80);
    const cpu::JointEntropy kernel({256, &segments, {}, 2});
    CHECK(kernel.workspace_bytes() < std::size_t{25} << 20);
  }

  TEST_CASE("settings out of range") {
    const auto segments = Segments::equal(8, 4);
    const auto message = [&](const JointEntropySpec& spec) -> std::string {
      try {
        cpu::JointEntropy kernel({4, &segments, spec, 1});
      } catch (const Error& e) {
        CHECK(e.code() == ExitCode::kUsage);
        return e.what();
      }
      return "no error";
    };
    CHECK(message({.temperature = 0}) ==
          "[joint_entropy] temperature 0: expected a number above 0");
    CHECK(message({.blocks = {1, 2, 3}}) ==
          "[joint_entropy] 3 block weights: expected 4 for 2 segments");
    CHECK(message({.blocks = {1, 2, 3, NAN}}) ==
          "[joint_entropy] block weight nan: expected a finite number");
    CHECK(message({.clamp = 1}) ==
          "[joint_entropy] clamp 1: expected 0 <= clamp < 1");
    CHECK(message({.oe = INFINITY}) ==
          "[joint_entropy] coefficients 1, inf, 1: expected finite numbers");
  }
}
