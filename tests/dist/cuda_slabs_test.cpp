// The loss over column slabs on GPUs, held to the reference in double. Run with
// 1 to 4 processes.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "engine/core/shard.h"
#include "music/loss/cuda/joint_entropy.h"
#include "tests/dist/device_world.h"
#include "tests/support/compare.h"
#include "tests/support/loss_cases.h"
#include "tests/support/loss_run.h"
#include "tests/support/margin.h"
#include "tests/support/reference_loss.h"

namespace {

using namespace music;
using namespace music::test;

struct Problem {
  std::int64_t n;  // of all processes
  Segments segments;
  JointEntropySpec spec = {};
  double scale = 2;
  std::int64_t panel = 0;  // units; 0: the kernel's own choice
};

struct Result {
  JointEntropyTerms terms;
  float total = 0;
  std::vector<float> dz1, dz2, mean_q;
};

Result run(const Problem& p, DType codes, dist::Communicator& communicator) {
  const std::int64_t units = p.segments.units();
  const auto first = logits(p.n, p.segments, p.scale, 0);
  std::vector<float> z = shard_rows(first, units);
  const auto other = shard_rows(second_view(first, 0.5 * p.scale), units);
  z.insert(z.end(), other.begin(), other.end());
  const LossResult r = run_loss_kernel(z, units, [&](const KernelRequest& k) {
    const SharedBatch batch{&communicator, p.n};
    if (p.panel == 0)
      return cuda::make_joint_entropy(k, p.segments, p.spec, batch, codes);
    return cuda::make_joint_entropy(k, p.segments, p.spec, batch, codes,
                                    {p.panel, p.panel});
  });
  const auto half = r.dz.begin() + static_cast<std::ptrdiff_t>(other.size());
  return {r.terms, r.total, {r.dz.begin(), half}, {half, r.dz.end()}, r.mean_q};
}

void check(const Problem& p) {
  const std::int64_t units = p.segments.units();
  const auto first = logits(p.n, p.segments, p.scale, 0);
  const auto e =
      reference_loss(widen(first), widen(second_view(first, 0.5 * p.scale)),
                     p.n, p.segments, p.spec);
  for (const auto& [name, comm] : device_communicators())
    for (const DType codes : {DType::kF32, DType::kF16}) {
      CAPTURE(name);
      CAPTURE(p.n);
      CAPTURE(units);
      CAPTURE(p.segments.count());
      CAPTURE(p.panel);
      CAPTURE(name_of(codes));
      const Result r = run(p, codes, *comm);
      const bool wide = codes == DType::kF32;
      const double terms = wide ? 3e-6 : 1e-3,
                   gradient = wide ? kLossGradient : kLossGradientF16;
      CHECK(within(error_of(r.terms.de, e.terms.de), terms));
      CHECK(within(error_of(r.terms.oe, e.terms.oe), terms));
      CHECK(within(error_of(r.terms.ti, e.terms.ti), terms));
      CHECK(within(error_of(r.terms.total, e.terms.total), terms));
      CHECK(within(norm_relative(r.dz1, shard_rows(e.dz1, units), 1e-30),
                   gradient));
      CHECK(within(norm_relative(r.dz2, shard_rows(e.dz2, units), 1e-30),
                   gradient));
      CHECK(r.total == static_cast<float>(r.terms.total));
      std::vector<double> mean(static_cast<std::size_t>(2 * units));
      for (std::size_t i = 0; i < e.q1.size(); ++i) {
        const std::size_t d = i % static_cast<std::size_t>(units);
        mean[d] += e.q1[i] / static_cast<double>(p.n);
        mean[static_cast<std::size_t>(units) + d] +=
            e.q2[i] / static_cast<double>(p.n);
      }
      CHECK(within(norm_relative(r.mean_q, mean), 1e-5));
    }
}

TEST_SUITE("cuda_slabs") {
  TEST_CASE("the loss of all processes is that of the whole batch") {
    if (!select_device()) return;
    check({12, Segments::equal(48, 8)});
    // Shards differ by a sample; segments do not divide by ranks.
    for (const std::int64_t n : {7, 17}) {
      check({n, Segments::equal(35, 5)});
      check({n, Segments::uneven({2, 17, 5, 30, 3})});
    }
    // Fewer segments than ranks, and none off the diagonal.
    check({9, Segments::equal(20, 10)});
    check({9, Segments::equal(20, 20)});
  }

  TEST_CASE("in panels of any width") {
    on_device([] {
      for (const std::int64_t panel : {8, 16, 24, 56, 64})
        check({10, Segments::uneven({7, 30, 2, 11, 7}), {}, 2, panel});
    });
  }

  TEST_CASE("under every option") {
    if (!select_device()) return;
    for (const auto& spec : loss_specs())
      check({8, Segments::equal(28, 4), spec, 1, 16});
    JointEntropySpec weighted;
    weighted.blocks = block_weights(7);
    check({8, Segments::equal(28, 4), weighted, 1, 16});
  }

  TEST_CASE("two runs give the same bits") {
    if (!select_device()) return;
    const Problem p{11, Segments::uneven({7, 30, 2, 11}), {}, 2, 24};
    for (const auto& [name, comm] : device_communicators())
      for (const DType codes : {DType::kF32, DType::kF16}) {
        CAPTURE(name);
        const Result a = run(p, codes, *comm), b = run(p, codes, *comm);
        CHECK(a.dz1 == b.dz1);
        CHECK(a.dz2 == b.dz2);
        CHECK(a.mean_q == b.mean_q);
        CHECK(a.terms.total == b.terms.total);
      }
  }

  TEST_CASE("memory falls with the number of processes") {
    if (!select_device()) return;
    // A rank of a job that does not exist, to ask what it would need.
    class Pretended final : public dist::Communicator {
     public:
      Pretended(int rank, int size) : Communicator({rank, size, rank, size}) {}
      void abort(ExitCode) override { std::abort(); }
      void exchange(std::span<const std::int64_t>,
                    std::span<std::int64_t>) override {}

     private:
      void do_run(const dist::Collective&, void*) override {}
      void do_start(const dist::Collective&, std::uint64_t, void*) override {}
      void do_wait(std::uint64_t, void*) override {}
    };
    const auto segments = Segments::equal(8160, 80);
    const auto bytes = [&](int ranks) {
      std::size_t most = 0;
      for (int r = 0; r < ranks; ++r) {
        Pretended job(r, ranks);
        KernelRequest request{Device::kCuda, {}, {}};
        request.in.emplace_back().shape =
            Shape{2 * shard_size(2048, r, ranks), 8160};
        most =
            std::max(most, cuda::make_joint_entropy(request, segments, {},
                                                    {&job, 2048}, DType::kF16)
                               ->workspace_bytes());
      }
      return most;
    };
    // Shared out: codes of both views (2 bytes each), q'' of the slab (2), dq''
    // of the slab and on its way back (4 each). Panels: q' (8 MB) and dq' (16
    // MB) twice, dq' of this rank, and blocks of P and G (48 MB).
    const double matrix = 2048.0 * 8160;
    for (const int ranks : {2, 4, 8, 16, 32}) {
      const auto found = static_cast<double>(bytes(ranks));
      const double panels = (48 + 32.0 / ranks + 48 + 24) * (1 << 20);
      CAPTURE(ranks);
      MESSAGE(ranks << " ranks: " << found / (1 << 20) << " MiB");
      CHECK(found <=
            14.5 * matrix / ranks * (ranks > 8 ? 1.15 : 1.05) + panels);
    }
  }
}

}  // namespace
