// The loss over column slabs: any number of processes gives what one gives.
#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "engine/core/buffer.h"
#include "engine/core/rng.h"
#include "engine/core/shard.h"
#include "music/loss/column_slabs.h"
#include "music/loss/cpu/joint_entropy.h"
#include "tests/dist/world.h"
#include "tests/support/compare.h"
#include "tests/support/loss_cases.h"
#include "tests/support/margin.h"

namespace {

using namespace music;
using test::near;
using test::norm_relative;
using test::shard_rows;
using test::within;
using test::world;

struct Result {
  JointEntropyTerms terms;
  std::vector<float> dz1, dz2, mean_q;
};

std::vector<float> logits(std::int64_t n, std::int64_t units, double scale,
                          std::uint32_t stream) {
  Rng rng(1, RngPurpose::kTest, stream);
  std::vector<float> z(static_cast<std::size_t>(n * units));
  for (float& v : z) v = static_cast<float>(scale * rng.normal());
  return z;
}

Result run(const std::vector<float>& z1, const std::vector<float>& z2,
           const Segments& segments, const JointEntropySpec& spec,
           dist::Communicator* communicator, std::int64_t batch) {
  const auto n = static_cast<std::int64_t>(z1.size()) / segments.units();
  const cpu::JointEntropy loss(
      {n, &segments, spec, 1, communicator, batch});
  Buffer workspace(loss.workspace_bytes());
  std::fill_n(workspace.as<unsigned char>(), workspace.bytes(), 0xFF);
  Result r;
  r.dz1.assign(z1.size(), 7);
  r.dz2.assign(z2.size(), 7);
  r.mean_q.assign(static_cast<std::size_t>(2 * segments.units()), 7);
  loss.run(z1.data(), z2.data(), r.dz1.data(), r.dz2.data(), r.mean_q.data(),
           r.terms, workspace.data());
  return r;
}

struct Problem {
  std::vector<float> z1, z2;
  Problem(std::int64_t n, const Segments& segments, double scale)
      : z1(logits(n, segments.units(), scale, 0)),
        z2(logits(n, segments.units(), scale, 1)) {
    // Views that agree on much, as a trained network's do.
    for (std::size_t i = 0; i < z2.size(); ++i) z2[i] = z1[i] + 0.5f * z2[i];
  }
  Result together(const Segments& segments, const JointEntropySpec& spec) const {
    const std::int64_t units = segments.units();
    return run(shard_rows(z1, units), shard_rows(z2, units), segments, spec,
               &world(), static_cast<std::int64_t>(z1.size()) / units);
  }
  Result alone(const Segments& segments, const JointEntropySpec& spec) const {
    return run(z1, z2, segments, spec, nullptr, 0);
  }
};

double difference(double value, double expected) {
  return std::abs(value - expected) / std::max(1.0, std::abs(expected));
}

void check_equal(std::int64_t n, const Segments& segments,
                 const JointEntropySpec& spec = {}, double scale = 2) {
  CAPTURE(n);
  CAPTURE(segments.units());
  CAPTURE(segments.count());
  const Problem problem(n, segments, scale);
  const Result one = problem.alone(segments, spec);
  const Result many = problem.together(segments, spec);
  CHECK(within(difference(many.terms.de, one.terms.de), 1e-6));
  CHECK(within(difference(many.terms.oe, one.terms.oe), 1e-6));
  CHECK(within(difference(many.terms.ti, one.terms.ti), 1e-6));
  CHECK(within(difference(many.terms.total, one.terms.total), 1e-6));
  CHECK(within(norm_relative(many.dz1, shard_rows(one.dz1, segments.units())),
               2e-6));
  CHECK(within(norm_relative(many.dz2, shard_rows(one.dz2, segments.units())),
               2e-6));
  CHECK(within(norm_relative(many.mean_q, one.mean_q), 1e-6));
}

// A rank of a job that does not exist, to ask what it would need.
class Pretended final : public dist::Communicator {
 public:
  Pretended(int rank, int size) : Communicator({rank, size, rank, size}) {}
  void abort(ExitCode) override { std::abort(); }

 private:
  void do_run(const dist::Collective&, void*) override {}
  void do_start(const dist::Collective&, std::uint64_t, void*) override {}
  void do_wait(std::uint64_t, void*) override {}
  void exchange(std::span<const std::int64_t>,
                std::span<std::int64_t>) override {}
};

TEST_SUITE("joint_entropy") {
  TEST_CASE("slabs are whole segments, as even as they can be") {
    const auto slabs = [](const Segments& s, int ranks) {
      return column_slabs(s, ranks);
    };
    using V = std::vector<std::int64_t>;
    CHECK(slabs(Segments::equal(80, 10), 1) == V{0, 80});
    CHECK(slabs(Segments::equal(80, 10), 4) == V{0, 20, 40, 60, 80});
    CHECK(slabs(Segments::equal(80, 10), 3) == V{0, 30, 50, 80});
    CHECK(slabs(Segments::equal(20, 10), 4) == V{0, 10, 10, 20, 20});
    CHECK(slabs(Segments::uneven({2, 17, 5, 30, 3}), 2) == V{0, 24, 57});
    const auto paper = slabs(Segments::equal(8160, 80), 32);
    for (std::size_t r = 0; r < 32; ++r) {
      CHECK(paper[r] % 80 == 0);
      CHECK(paper[r + 1] - paper[r] >= 3 * 80);
      CHECK(paper[r + 1] - paper[r] <= 4 * 80);
    }
  }

  TEST_CASE("the loss of all processes is the loss of one") {
    check_equal(24, Segments::equal(96, 8));
    // Shards differ by a sample; segments do not divide by ranks.
    for (std::int64_t n : {7, 17, 33}) {
      check_equal(n, Segments::equal(70, 10));
      check_equal(n, Segments::uneven({2, 17, 5, 30, 3}));
    }
    // Fewer segments than ranks, and none off the diagonal.
    check_equal(12, Segments::equal(20, 10));
    check_equal(12, Segments::equal(20, 20));
  }

  TEST_CASE("under every option") {
    const auto segments = Segments::equal(63, 9);
    for (const auto norm : {EntropyNorm::kEq5, EntropyNorm::kEq3})
      for (const auto form : {Invariance::kInner, Invariance::kEq4,
                              Invariance::kXent, Invariance::kNone}) {
        JointEntropySpec spec{.norm = norm, .invariance = form};
        spec.de = 0.5, spec.oe = 2, spec.ti = 3, spec.temperature = 0.25;
        check_equal(15, segments, spec);
      }
    check_equal(15, segments, {.blocks = test::block_weights(7)});
    check_equal(15, segments, {.oe = 0});
    check_equal(15, segments, {.clamp = 0.05});
    check_equal(15, segments, {}, 30);
  }

  TEST_CASE("in several panels") {
    check_equal(2050, Segments::uneven({60, 600, 340, 40}));
  }

  TEST_CASE("the same bits on every run; the same terms on every rank") {
    const auto segments = Segments::equal(1120, 80);
    const Problem problem(257, segments, 3);
    const Result a = problem.together(segments, {});
    const Result b = problem.together(segments, {});
    CHECK(a.dz1 == b.dz1);
    CHECK(a.dz2 == b.dz2);
    CHECK(a.mean_q == b.mean_q);
    CHECK(a.terms.total == b.terms.total);
    double least[] = {-a.terms.total}, most[] = {a.terms.total};
    world().all_reduce({least, Shape{1}, DType::kF64}, dist::Reduction::kMax);
    world().all_reduce({most, Shape{1}, DType::kF64}, dist::Reduction::kMax);
    CHECK(-least[0] == most[0]);
  }

  // The error that passes everywhere else as multi-process training.
  TEST_CASE("a P of each process's own samples is another loss") {
    const auto segments = Segments::equal(96, 8);
    const Problem problem(24, segments, 2);
    const Result one = problem.alone(segments, {});
    const JointEntropySpec local{.scope = LossScope::kLocal};
    const Result many = problem.together(segments, local);
    if (world().size() == 1) {
      CHECK(many.terms.total == one.terms.total);
      return;
    }
    CHECK(difference(many.terms.oe, one.terms.oe) > 1e-3);
    CHECK(norm_relative(many.dz1, shard_rows(one.dz1, 96)) > 0.05);
    // It is the mean over the processes of their losses.
    const Result own =
        run(shard_rows(problem.z1, 96), shard_rows(problem.z2, 96), segments,
            {}, nullptr, 0);
    const double share =
        static_cast<double>(own.dz1.size()) / static_cast<double>(24 * 96);
    double oe[] = {share * own.terms.oe};
    world().all_reduce({oe, Shape{1}, DType::kF64});
    CHECK(near(many.terms.oe, oe[0], 1e-12));
    CHECK(within(difference(many.terms.ti, one.terms.ti), 1e-6));
    std::vector<float> scaled = own.dz1;
    for (float& v : scaled) v *= static_cast<float>(share);
    CHECK(within(norm_relative(many.dz1, scaled), 1e-6));
    CHECK(within(norm_relative(many.mean_q, one.mean_q), 1e-6));
  }

  TEST_CASE("memory falls with the number of processes") {
    const auto segments = Segments::equal(8160, 80);
    const auto bytes = [&](int ranks) {
      std::size_t most = 0;
      for (int r = 0; r < ranks; ++r) {
        Pretended job(r, ranks);
        most = std::max(most, cpu::JointEntropy(
            {shard_size(2048, r, ranks), &segments, {}, 1, &job, 2048})
                .workspace_bytes());
      }
      return most;
    };
    // Four matrices [N,D] shared out, four panels of 4 MiB and what goes
    // with them.
    const double matrix = 2048.0 * 8160 * 4;
    const double panels = 24 << 20;
    for (int ranks : {2, 3, 4, 8, 16, 32}) {
      CAPTURE(ranks);
      const auto found = static_cast<double>(bytes(ranks));
      MESSAGE(ranks << " ranks: " << found / (1 << 20) << " MiB");
      // A slab of 4 segments where 3.2 would be even.
      CHECK(found <= 4.3 * matrix / ranks * (ranks > 8 ? 1.15 : 1.05) + panels);
    }
  }
}

}  // namespace
