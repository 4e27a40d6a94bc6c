#include "music/method/health.h"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "engine/core/buffer.h"
#include "engine/core/rng.h"
#include "music/loss/cpu/joint_entropy.h"
#include "music/method/parts.h"
#include "tests/support/margin.h"

namespace {

using namespace music;
using test::near;

// Health of a batch whose view v of sample i has unit code(v, i, s) of segment
// s above the others by `gap`.
using Code = std::function<std::int64_t(int v, std::int64_t i, std::int64_t s)>;

Health health_of(std::int64_t n, const Segments& segments, const Code& code,
                 float gap = 30, const JointEntropySpec& spec = {}) {
  const std::int64_t units = segments.units();
  std::vector<float> z[2], dz[2];
  for (int v = 0; v < 2; ++v) {
    z[v].assign(static_cast<std::size_t>(n * units), 0);
    dz[v] = z[v];
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t s = 0; s < segments.count(); ++s)
        z[v][static_cast<std::size_t>(i * units + segments.begin(s) +
                                      code(v, i, s))] = gap;
  }
  const cpu::JointEntropy kernel({n, &segments, spec, 1});
  Buffer workspace(kernel.workspace_bytes());
  std::vector<float> mean_q(static_cast<std::size_t>(2 * units));
  JointEntropyTerms terms;
  kernel.run(z[0].data(), z[1].data(), dz[0].data(), dz[1].data(),
             mean_q.data(), terms, workspace.data());
  return assess(terms, n, segments, spec, mean_q.data());
}

// A fixed random unit of [0,size) for each (i, s).
std::int64_t draw(std::int64_t i, std::int64_t s, std::int64_t size) {
  Rng rng(9, RngPurpose::kTest, static_cast<std::uint32_t>(i),
          static_cast<std::uint32_t>(s));
  return rng.below(static_cast<std::uint32_t>(size));
}

bool begins(const std::string& text, const std::string& start) {
  return text.rfind(start, 0) == 0;
}

}  // namespace

TEST_SUITE("health") {
  TEST_CASE("a verdict beside the loss of embeddings that say nothing") {
    CHECK(verdict_of(2, false, "", 4, 0) == "healthy");
    CHECK(begins(verdict_of(3.97, false, "", 4, 0), "no signal: the loss is 3.97"));
    CHECK(verdict_of(3.95, false, "", 4, 0) == "healthy");
    CHECK(begins(verdict_of(24, false, "", 4, 0), "no signal"));
    CHECK(begins(verdict_of(0, false, "", 0, -1), "no signal"));
    CHECK(begins(verdict_of(4, true, "flat", 4, 0), "collapsed: flat"));
    CHECK(begins(verdict_of(std::nan(""), true, "", 4, 0), "diverged"));
  }

  TEST_CASE("reference lines of the paper's size") {
    const Segments segments = Segments::equal(8160, 80);
    const LossLines lines = loss_lines(segments, {}, 2048);
    CHECK(std::abs(lines.uniform.de + 0.1096) < 5e-5);
    CHECK(std::abs(lines.uniform.oe + 8.7641) < 5e-5);
    CHECK(std::abs(lines.uniform.ti - 4.3820) < 5e-5);
    CHECK(std::abs(lines.uniform.total + 4.4916) < 5e-5);
    CHECK(lines.collapse.total == 0);
    CHECK(std::abs(lines.ideal.de + 4.3820) < 5e-5);
    CHECK(std::abs(lines.ideal.total + 13.146) < 5e-4);
    CHECK(std::abs(lines.oe_floor + 7.625) < 5e-4);
    CHECK(std::abs(loss_lines(segments, {}, 100000).oe_floor + 8.7641) < 5e-5);
  }

  TEST_CASE("reference lines are what the loss says, for every option") {
    const Segments segments = Segments::uneven({3, 8, 5});
    for (auto norm : {EntropyNorm::kEq5, EntropyNorm::kEq3})
      for (auto form : {Invariance::kInner, Invariance::kEq4,
                        Invariance::kXent, Invariance::kNone}) {
        JointEntropySpec spec{.norm = norm, .invariance = form, .de = 2};
        if (form == Invariance::kXent)
          spec.blocks = {1, 0.5, -1, 0, 2, 0.25, 1, -0.5, 1.5};
        const std::vector<float> z(4 * 16, 0);
        std::vector<float> dz1(z), dz2(z);
        const cpu::JointEntropy kernel({4, &segments, spec, 1});
        Buffer workspace(kernel.workspace_bytes());
        JointEntropyTerms terms;
        kernel.run(z.data(), z.data(), dz1.data(), dz2.data(), nullptr, terms,
                   workspace.data());
        const LossLines lines = loss_lines(segments, spec, 4);
        CHECK(near(terms.de, lines.uniform.de, 1e-6));
        CHECK(near(terms.oe, lines.uniform.oe, 1e-6));
        CHECK(near(terms.ti, lines.uniform.ti, 1e-6));
        CHECK(near(terms.total, lines.uniform.total, 1e-6));
      }
  }

  TEST_CASE("a block below 0 is at best where its segments tell each other") {
    // Three segments, the second and third with the first's code: ideal but for
    // the weights.
    const Segments segments = Segments::equal(12, 4);
    const auto lines_of = [&](double w) {
      return loss_lines(segments, {.blocks = {1, w, w, w, 1, w, w, w, 1}}, 64);
    };
    CHECK(near(lines_of(-1).ideal.oe, std::log(4), 1e-12));
    CHECK(near(lines_of(1).ideal.oe, -2 * std::log(4), 1e-12));
    CHECK(lines_of(0).ideal.oe == 0);
    const Health h = health_of(
        64, segments,
        [](int, std::int64_t i, std::int64_t) { return i % 4; }, 30,
        {.blocks = {1, -1, -1, -1, 1, -1, -1, -1, 1}});
    CHECK(h.verdict == "healthy");  // redundant, as asked for
  }

  TEST_CASE("uniform codes are where training starts") {
    const Segments segments = Segments::equal(64, 16);
    for (auto form : {Invariance::kInner, Invariance::kEq4, Invariance::kXent,
                      Invariance::kNone}) {
      const Health h = health_of(
          512, segments,
          [](int, std::int64_t i, std::int64_t s) { return draw(i, s, 16); },
          0.3f, {.invariance = form});
      CHECK(h.verdict == "starting (uniform codes)");
      CHECK(h.usage_entropy > 0.99);
      CHECK(h.dead_units == 0);
    }
  }

  TEST_CASE("independent confident codes are healthy") {
    const Segments segments = Segments::equal(64, 16);
    const Health h = health_of(
        512, segments,
        [](int, std::int64_t i, std::int64_t s) { return draw(i, s, 16); });
    CHECK(h.verdict == "healthy");
    CHECK(h.usage_entropy > 0.98);
    CHECK(h.usage_entropy_min <= h.usage_entropy);
    CHECK(near(h.agreement, 1, 1e-4));
    CHECK(h.redundancy < 0.05);
    CHECK(h.dead_units == 0);
    // The paper's segments, with batches too small to fill their blocks.
    const Segments paper = Segments::equal(320, 80);
    for (std::int64_t n : {4, 16, 64, 256, 1024}) {
      const Health small = health_of(
          n, paper,
          [](int, std::int64_t i, std::int64_t s) { return draw(i, s, 80); });
      CHECK(small.verdict == "healthy");
      CHECK(small.redundancy < 0.1);
    }
    CHECK(std::isnan(
        health_of(64, segments,
                  [](int, std::int64_t i, std::int64_t s) {
                    return draw(i, s, 16);
                  },
                  30, {.invariance = Invariance::kNone}).agreement));
  }

  TEST_CASE("a dead unit has less than a twentieth of its share, in both views") {
    const Segments segments = Segments::equal(4, 4);
    const auto dead = [&](float first, float second) {
      const float q[] = {first, 0.3f, 0.3f, 0.3f, second, 0.3f, 0.3f, 0.3f};
      return assess({}, 64, segments, {}, q).dead_units;
    };
    CHECK(dead(0.012f, 0.012f) == 1);
    CHECK(dead(0.013f, 0.012f) == 0);
    CHECK(dead(0.012f, 0.013f) == 0);
  }

  TEST_CASE("one code for all samples is collapsed") {
    const Segments segments = Segments::equal(64, 16);
    const Health h = health_of(
        512, segments, [](int, std::int64_t, std::int64_t s) { return s; });
    CHECK(begins(h.verdict, "collapsed: segments use 0 % of their range"));
    CHECK(h.usage_entropy < 0.01);
    CHECK(h.dead_units == 60);
  }

  TEST_CASE("one collapsed segment among four") {
    const Segments segments = Segments::equal(64, 16);
    const Health h = health_of(
        512, segments, [](int, std::int64_t i, std::int64_t s) {
          return s == 2 ? 5 : draw(i, s, 16);
        });
    CHECK(begins(h.verdict, "collapsed in 1 of 4 segments: the worst uses 0 %"));
    CHECK(h.dead_units == 15);
  }

  TEST_CASE("segments that all say the same are redundant") {
    const Segments segments = Segments::equal(64, 16);
    const auto same = [](int, std::int64_t i, std::int64_t s) {
      return (draw(i, 0, 16) + s) % 16;
    };
    const Health h = health_of(512, segments, same);
    CHECK(begins(h.verdict, "segments redundant: "));
    CHECK(h.redundancy > 0.95);
    CHECK(begins(health_of(512, segments, same, 30,
                           {.norm = EntropyNorm::kEq3}).verdict,
                 "segments redundant: "));
    // One segment alone is redundant with nothing.
    CHECK(health_of(512, Segments::equal(16, 16), same).verdict == "healthy");
  }

  TEST_CASE("views with codes of their own disagree") {
    const Segments segments = Segments::equal(64, 16);
    const Health h = health_of(
        512, segments, [](int v, std::int64_t i, std::int64_t s) {
          return draw(i, 4 * v + s, 16);
        });
    CHECK(begins(h.verdict, "views disagree"));
    CHECK(h.agreement < 0.01);
  }

  TEST_CASE("a loss that is not finite has diverged") {
    const Segments segments = Segments::equal(64, 16);
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const Health h = health_of(
        8, segments,
        [](int, std::int64_t i, std::int64_t s) { return draw(i, s, 16); },
        nan);
    CHECK(h.verdict == "diverged: the loss is not finite");
  }
}
