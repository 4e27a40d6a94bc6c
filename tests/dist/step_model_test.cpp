// The computed timeline of a step: what must hold of it, and that its exchanges
// are those of a real step. Run with 1 to 4 processes.
#include "music/plan/step_model.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "engine/core/shard.h"
#include "music/plan/memory_plan.h"
#include "music/plan/planned_step.h"
#include "music/train/training_step.h"
#include "tests/dist/world.h"
#include "tests/support/compare.h"
#include "tests/support/delayed_communicator.h"
#include "tests/support/margin.h"
#include "tests/support/small_method.h"

namespace {

using namespace music;
using test::near;
using test::relative_error;
using test::within;
using test::world;
using Kind = dist::Collective::Kind;

constexpr std::int64_t kBatch = 12;
constexpr int kSize = 16;

ModelSpec model_spec(std::int64_t segment = 80) {
  ModelSpec spec{{.depth = 18, .width = 4, .stem = Stem::kCifar}, {1024, 1120}};
  spec.method.of<Music>().segment = segment;
  return spec;
}

TrainingStepSpec step_spec() {
  TrainingStepSpec spec;
  spec.image_size = kSize;
  return spec;
}

// Seen from one of the processes.
struct Planned : PlannedStep {
  Planned(int rank, Layout layout, const ModelSpec& spec = model_spec(),
          std::int64_t batch = kBatch)
      : PlannedStep(spec, step_spec(), batch, {}, layout, rank) {
    price(processor("v100"));
    model().net = interconnect("v100-edr");
  }
};

struct Real {
  Model model;
  TrainingStep step;
  std::vector<std::uint8_t> pixels;

  explicit Real(dist::Communicator& c,
                const ModelSpec& spec = model_spec())
      : model(spec, true), step(model, step_spec(), {kBatch}, {}, &c) {
    model.parameters().initialise(1);
    const auto n = shard_size(kBatch, c.rank(), c.size());
    pixels.resize(static_cast<std::size_t>(2 * n * kSize * kSize * 3), 100);
  }
  void run() { step.run(pixels.data(), kBatch, 0.01); }
};

// A step of the plan against one that is run; of so many exchanges.
std::size_t check_exchanges_of_step(const ModelSpec& spec) {
  Real real(world(), spec);
  dist::Timeline timeline;
  world().record(&timeline);
  real.run();
  world().record(nullptr);
  std::vector<const dist::Timeline::Span*> spans;
  for (const auto& s : timeline.spans())
    if (std::string_view(s.category) == "collective") spans.push_back(&s);
  std::stable_sort(spans.begin(), spans.end(),
                   [](auto* a, auto* b) { return a->begin < b->begin; });
  Planned p(world().rank(), {1, world().size()}, spec);
  const auto planned = predict(p.model()).collectives;
  REQUIRE(planned.size() == spans.size());
  for (std::size_t i = 0; i < spans.size(); ++i) {
    CAPTURE(i);
    dist::Collective c;
    c.kind = planned[i].kind;
    CHECK(spans[i]->name == c.name());
    CHECK(static_cast<double>(spans[i]->bytes) == planned[i].bytes);
    CHECK((spans[i]->lane == dist::Timeline::Lane::kCompute) ==
          planned[i].blocking);
  }
  return spans.size();
}

TEST_SUITE("step_model") {
  TEST_CASE("a network that costs nothing leaves the efficiency of one") {
    Planned p(0, {4, 8}, model_spec(), 64);
    p.model().net = interconnect("ideal");
    const StepPrediction s = predict(p.model());
    CHECK(near(s.efficiency(), 1, 1e-12));
    CHECK(within(relative_error(s.seconds, s.compute + s.optimizer), 1e-12));
    CHECK(s.collectives.size() > 40);
    Planned one(0, {1, 1});
    CHECK(near(predict(one.model()).efficiency(), 1, 1e-12));
    CHECK(predict(one.model()).collectives.empty());
  }

  TEST_CASE("the step is longer with latency, bytes and nodes") {
    Planned p(0, {4, 8}, model_spec(), 64);
    double last = 0;
    for (const double us : {0.0, 1.0, 5.0, 20.0, 100.0}) {
      p.model().net.between.latency_us = us;
      const StepPrediction s = predict(p.model());
      CHECK(s.seconds > last);
      // Nothing is lost: a step is its parts.
      CHECK(within(
          relative_error(s.seconds, s.compute + s.optimizer + s.exposed_norm +
                                        s.exposed_loss + s.exposed_gradients),
          1e-12));
      last = s.seconds;
    }
    for (const double gb : {10.0, 3.0, 1.0, 0.1}) {
      p.model().net.between.gb_per_s = gb;
      const double t = predict(p.model()).seconds;
      CHECK(t > last);
      last = t;
    }
    CHECK(predict(Planned(0, {2, 1}).model()).efficiency() >
          predict(Planned(0, {4, 1}).model()).efficiency());
    p.model().input_seconds = 10;
    CHECK(near(predict(p.model()).seconds, 10, 1e-5));
  }

  TEST_CASE("gradients hide behind backward until they outlast it") {
    Planned p(0, {1, 2});
    p.model().net = Interconnect::fixed(0, 1000);
    CHECK(predict(p.model()).exposed_gradients < predict(p.model()).background);
    // At 1 MB/s buckets queue: the last is done when all have been served.
    p.model().net = Interconnect::fixed(0, 1e-3);
    const StepPrediction s = predict(p.model());
    double buckets = 0;
    for (const auto& b : p.model().reducer->buckets())
      buckets += static_cast<double>(b.end - b.begin) * 4 / 1e6;
    CHECK(s.exposed_gradients > 0.9 * buckets);
    CHECK(s.exposed_gradients <= buckets);
  }

  TEST_CASE("what a network costs") {
    const auto off = [](const char* network, Layout layout, double bytes,
                        double expected) {
      return relative_error(
          seconds(interconnect(network), layout, Kind::kAllReduce, bytes),
          expected);
    };
    // Two passes of 3/4 of it over 22 GB/s, of 7/8 over 350 GB/s.
    CHECK(within(off("v100-edr", {4, 8}, 429e6, 1.5 * 429e6 / 22e9), 0.03));
    CHECK(within(off("h100-ndr", {1, 8}, 429e6, 1.75 * 429e6 / 350e9), 0.03));
    CHECK(within(off("v100-edr", {4, 8}, 8, 40e-6), 0.01));
    CHECK(seconds(interconnect("h100-ndr"), {1, 1}, Kind::kAllReduce, 8) == 0);
    CHECK(sent_bytes(4, Kind::kAllReduce, 100) == 150);
    CHECK(sent_bytes(4, Kind::kAllGather, 100) == 75);
    CHECK_THROWS_AS(interconnect("token-ring"), Error);
  }

  TEST_CASE("a profile of another network is refused") {
    Planned p(0, {1, 2});
    Profile profile;
    for (const Node& n : p.graph().nodes())
      if (!only_exchanges(n)) profile.nodes.push_back({n.op, 2});
    profile.samples = kBatch;
    const auto times = node_seconds(p.graph(), profile, kBatch / 2);
    CHECK(within(
        relative_error(*std::max_element(times.begin(), times.end()), 1e-3),
        1e-12));
    CHECK(std::count(times.begin(), times.end(), 0.0) ==
          static_cast<std::ptrdiff_t>(p.graph().nodes().size() -
                                      profile.nodes.size()));
    profile.nodes.pop_back();
    CHECK_THROWS_AS(node_seconds(p.graph(), profile, 1), Error);
    profile.nodes[0].op = "other";
    CHECK_THROWS_AS(node_seconds(p.graph(), profile, 1), Error);
  }

  TEST_CASE("the exchanges are those of a real step, to the byte") {
    for (const std::int64_t segment : {80, 1120}) {
      CAPTURE(segment);
      const std::size_t exchanges =
          check_exchanges_of_step(model_spec(segment));
      if (world().size() > 1) CHECK(exchanges > 40);
    }
  }

  TEST_CASE("and whatever the method") {
    for (const char* const name :
         {"vicreg", "barlow_twins", "simclr", "byol", "moco_v2", "swav"}) {
      CAPTURE(name);
      ModelSpec spec = test::with_method(model_spec(), name, kBatch);
      const std::size_t exchanges = check_exchanges_of_step(spec);
      if (world().size() > 1) CHECK(exchanges > 40);
      if (spec.method.name != "moco_v2" || world().size() != 2) continue;
      // Statistics of groups; those of the keys are of both processes.
      spec.method.of<MocoV2>().group = 6;
      CHECK(check_exchanges_of_step(spec) > 20);
    }
  }

  TEST_CASE("the memory plan of a process is what it takes") {
    if (kBatch % world().size() != 0) return;
    const Real real(world());
    std::int64_t most[] = {
        static_cast<std::int64_t>(real.step.memory().workspace)};
    world().all_reduce({most, Shape{1}, DType::kI64}, dist::Reduction::kMax);
    const MemoryPlan plan = plan_memory(model_spec(), step_spec(),
                                        kBatch / world().size(), {},
                                        world().size());
    CHECK(static_cast<std::int64_t>(plan.workspace) == most[0]);
    CHECK(plan.activations == real.step.memory().arena);
    CHECK(plan.loss <= plan.workspace);
  }

  // Delays far above the computing. Sleeps are never shorter than asked for, but
  // on a busy machine longer: that a step costs no more than predicted is what
  // bench_scaling measures, on an idle one.
  TEST_CASE("an injected delay costs at least what the model says") {
    if (world().size() == 1) return;
    using Clock = std::chrono::steady_clock;
    const auto step_seconds = [&](double latency_us, double gb_per_s) {
      test::DelayedCommunicator slow(world(), latency_us, gb_per_s);
      Real real(slow);
      real.run();
      double best = 1e9;
      for (int k = 0; k < 3; ++k) {
        world().barrier();
        const auto start = Clock::now();
        real.run();
        best = std::min(best, std::chrono::duration<double>(Clock::now() -
                                                            start).count());
      }
      return best;
    };
    const double base = step_seconds(0, 1e6);
    Planned p(world().rank(), {1, world().size()});
    for (const auto& [us, gb] : {std::pair{4000.0, 1e6}, {200.0, 0.02}}) {
      const double measured = step_seconds(us, gb);
      p.model().net = Interconnect::fixed(us, gb);
      // The real step without delay in place of the roofline's.
      const double scale =
          base / std::accumulate(p.model().node_seconds.begin(),
                                 p.model().node_seconds.end(),
                                 p.model().optimizer_seconds);
      StepModel m = p.model();
      for (double& t : m.node_seconds) t *= scale;
      m.optimizer_seconds *= scale;
      const double predicted = predict(m).seconds;
      CAPTURE(us);
      CAPTURE(base);
      CHECK(measured > 0.9 * (predicted - base));
      if (world().rank() == 0)
        MESSAGE("delay of " << us << " us and " << 1 / gb << " ns/byte: "
                << measured * 1e3 << " ms, predicted " << predicted * 1e3
                << " ms, without " << base * 1e3 << " ms");
    }
  }
}

}  // namespace
