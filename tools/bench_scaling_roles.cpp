#include "tools/bench_scaling_roles.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>

#include "engine/core/rng.h"
#include "engine/core/shard.h"
#include "music/loss/cpu/joint_entropy.h"
#include "tests/support/delayed_communicator.h"

namespace music {
namespace {

using Clock = std::chrono::steady_clock;
using nlohmann::json;

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start)
      .count();
}

double maximum(double value, dist::Communicator& c) {
  c.all_reduce({&value, Shape{1}, DType::kF64}, dist::Reduction::kMax);
  return value;
}

// A step with its pixels: sample i of the batch is the same on any number of
// processes.
struct Bench {
  Model model;
  TrainingStep step;
  std::int64_t samples;
  std::vector<std::uint8_t> pixels;

  Bench(const ScalingBench& b, std::int64_t all, dist::Communicator* c,
        bool profile = false)
      : model(b.model(), true),
        step(model, b.step(), {all}, {.profile = profile}, c),
        samples(all) {
    model.parameters().initialise(1);
    const int rank = c ? c->rank() : 0, ranks = c ? c->size() : 1;
    for (int view = 0; view < 2; ++view)
      for (std::int64_t i = rank; i < all; i += ranks) {
        Rng rng(1, RngPurpose::kTest, static_cast<std::uint32_t>(2 * i + view));
        const std::uint32_t low = rng.below(120), range = 8 + rng.below(128);
        for (int k = 0; k < b.size * b.size * 3; ++k)
          pixels.push_back(static_cast<std::uint8_t>(low + rng.below(range)));
      }
  }
  double run() {
    const auto start = Clock::now();
    const StepOutcome o = step.run(pixels.data(), samples, 1e-3);
    if (!o.applied)
      throw error(ExitCode::kNumerical, "[bench] a step is not finite");
    return milliseconds_since(start);
  }
  double timed(const ScalingBench& b) {
    std::vector<double> ms;
    for (int i = 0; i < b.warmup; ++i) run();
    for (int i = 0; i < b.steps; ++i) ms.push_back(run());
    return median(ms);
  }
};

json profile(const ScalingBench& b) {
  Bench one(b, b.batch, nullptr, true);
  for (int i = 0; i < b.warmup; ++i) one.run();
  const auto before = one.step.executable(b.batch).profile();
  double all = 0, in_nodes = 0;
  for (int i = 0; i < b.steps; ++i) all += one.run() / b.steps;
  json nodes = json::array();
  const auto& after = one.step.executable(b.batch).profile();
  for (std::size_t n = 0; n < after.size(); ++n) {
    const double t = (after[n].milliseconds - before[n].milliseconds) / b.steps;
    in_nodes += t;
    nodes.push_back({{"op", after[n].op}, {"ms", t}});
  }
  return {{"samples", b.batch}, {"optimizer_ms", all - in_nodes},
          {"nodes", std::move(nodes)}};
}

// One collective of this many bytes, as the step makes them.
dist::Collective collective(const std::string& name, std::size_t bytes,
                            std::vector<float>& a, std::vector<float>& b,
                            std::vector<std::int64_t>& counts,
                            const dist::Communicator& c) {
  const auto n = static_cast<std::int64_t>(bytes / sizeof(float));
  const int ranks = c.size();
  counts.clear();
  for (int r = 0; r < ranks; ++r)
    counts.push_back(n * (r + 1) / ranks - n * r / ranks);
  const std::int64_t mine = counts[static_cast<std::size_t>(c.rank())];
  a.resize(static_cast<std::size_t>(n));
  b.resize(static_cast<std::size_t>(n));
  const auto view = [](std::vector<float>& v, std::int64_t count) {
    return Tensor{v.data(), Shape{count}, DType::kF32};
  };
  if (name == "all_gather")
    return dist::Collective::all_gather(view(a, mine), view(b, n), counts);
  if (name == "reduce_scatter")
    return dist::Collective::reduce_scatter(view(a, n), view(b, mine), counts);
  if (name == "all_to_all") {
    std::fill(counts.begin(), counts.end(), n / ranks);
    return dist::Collective::all_to_all(view(a, n / ranks * ranks), counts,
                                        view(b, n / ranks * ranks), counts);
  }
  return dist::Collective::all_reduce(view(a, n), view(b, n));
}

json exchanges(const ScalingBench& b, dist::Communicator& c) {
  std::map<std::pair<std::string, std::int64_t>, int> kinds;
  {
    Bench bench(b, b.batch * c.size(), &c);
    dist::Timeline timeline;
    c.record(&timeline);
    bench.run();
    c.record(nullptr);
    for (const auto& s : timeline.spans())
      if (std::string_view(s.category) == "collective")
        ++kinds[{s.name, s.bytes}];
  }
  // Rank 0's list on all ranks: an all_to_all's sizes may differ.
  std::vector<std::int64_t> sizes;
  for (const auto& [kind, count] : kinds) sizes.push_back(kind.second);
  c.broadcast({sizes.data(), Shape{static_cast<std::int64_t>(sizes.size())},
               DType::kI64});
  json rows = json::array();
  std::size_t k = 0;
  for (const auto& [kind, count] : kinds) {
    const auto bytes = static_cast<std::size_t>(sizes[k++]);
    std::vector<float> x, y;
    std::vector<std::int64_t> counts;
    const auto one = collective(kind.first, bytes, x, y, counts, c);
    std::vector<double> ms;
    for (int i = 0; i < 3 + 4 * b.steps; ++i) {
      c.barrier();
      const auto start = Clock::now();
      c.run(one);
      if (i >= 3) ms.push_back(milliseconds_since(start));
    }
    rows.push_back({{"name", kind.first}, {"bytes", bytes}, {"count", count},
                    {"ms", maximum(median(ms), c)}});
  }
  return {{"exchanges", std::move(rows)}};
}

json memory(const ScalingBench& b, dist::Communicator& c) {
  const Segments segments = Segments::equal(b.loss_units, 80);
  const std::int64_t n = shard_size(b.loss_samples, c.rank(), c.size());
  const cpu::JointEntropy loss({n, &segments, {}, 0, &c, b.loss_samples});
  const auto size = static_cast<std::size_t>(n * b.loss_units);
  std::vector<float> z1(size, 0.1f), z2(size, 0.1f), dz1(size), dz2(size);
  // The same logits of a sample on any number of processes.
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t d = 0; d < b.loss_units; ++d) {
      const std::int64_t sample = i * c.size() + c.rank();
      const auto at = static_cast<std::size_t>(i * b.loss_units + d);
      z1[at] = static_cast<float>((sample + d) % 7);
      z2[at] = static_cast<float>((sample + d) % 5);
    }
  const double before = peak_rss_mib();
  const Buffer workspace(loss.workspace_bytes());
  JointEntropyTerms terms;
  loss.run(z1.data(), z2.data(), dz1.data(), dz2.data(), nullptr, terms,
           workspace.data());
  return {{"workspace_mib", maximum(
               static_cast<double>(loss.workspace_bytes()) / (1 << 20), c)},
          {"peak_mib", maximum(peak_rss_mib() - before, c)},
          {"loss", terms.total}};
}

json result_of(const std::string& role, const ScalingBench& b,
               dist::Communicator& c) {
  if (role == "profile") return profile(b);
  if (role == "exchanges") return exchanges(b, c);
  if (role == "memory") return memory(b, c);
  if (role == "loss") {
    Bench bench(b, 2 * b.batch, &c);
    const auto t = Music::terms(
        bench.step.forward_backward(bench.pixels.data(), bench.samples)
            .readings);
    return {{"total", t.total}, {"de", t.de}, {"oe", t.oe}, {"ti", t.ti}};
  }
  if (role == "apart") {
    Bench bench(b, b.batch, nullptr);
    c.barrier();
    return {{"ms", maximum(bench.timed(b), c)}};
  }
  test::DelayedCommunicator slow(c, b.latency_us, b.gb_per_s);
  Bench bench(b, b.batch * c.size(), role == "delayed" ? &slow : &c);
  return {{"ms", maximum(bench.timed(b), c)}};
}

}  // namespace

std::string run_role(const std::string& role, const ScalingBench& bench,
                     dist::Communicator& communicator) {
  return result_of(role, bench, communicator).dump();
}

}  // namespace music
