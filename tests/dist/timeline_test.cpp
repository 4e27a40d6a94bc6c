// The timeline of a step: that it is what happened, and a trace that parses.
// Run with 1 to 4 processes.
#include "dist/timeline.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "dist/text.h"
#include "engine/core/shard.h"
#include "music/train/training_step.h"
#include "tests/dist/world.h"

namespace {

using namespace music;
using dist::Timeline;
using nlohmann::json;
using test::world;

constexpr std::int64_t kSamples = 12;
constexpr int kSide = 16;

// Two buckets: nearly all of a projector of 5 MB, complete long before backward
// is, and 1 MB with the encoder in it.
struct Traced {
  Model model{{{.depth = 18, .width = 4, .stem = Stem::kCifar}, {1024, 1120}},
              true};
  Timeline timeline;

  Traced() {
    model.parameters().initialise(1);
    TrainingStepSpec spec;
    spec.image_size = kSide;
    TrainingStep step(model, spec, {kSamples}, {}, &world());
    const auto n = shard_size(kSamples, world().rank(), world().size());
    std::vector<std::uint8_t> pixels(
        static_cast<std::size_t>(2 * n * kSide * kSide * 3), 100);
    step.run(pixels.data(), kSamples, 0.1);
    world().record(&timeline);
    step.trace(&timeline);
    step.run(pixels.data(), kSamples, 0.1);
    step.trace(nullptr);
    world().record(nullptr);
    recorded = timeline.spans().size();
    step.run(pixels.data(), kSamples, 0.1);
  }
  std::size_t recorded;
};

bool is(const Timeline::Span& s, const char* category) {
  return std::string_view(s.category) == category;
}

TEST_SUITE("timeline") {
  TEST_CASE("a step in order, and nothing once recording has ended") {
    const Traced t;
    CHECK(t.timeline.spans().size() == t.recorded);
    const Timeline::Span* last = nullptr;
    int losses = 0, updates = 0;
    for (const auto& s : t.timeline.spans()) {
      CHECK(s.begin <= s.end);
      if (s.lane != Timeline::Lane::kCompute || is(s, "collective") ||
          is(s, "wait"))
        continue;
      if (last) CHECK(last->end <= s.begin);
      last = &s;
      losses += is(s, "loss");
      updates += is(s, "optimizer");
    }
    CHECK(losses == 1);
    CHECK(updates == 1);
    REQUIRE(last);
    CHECK(is(*last, "optimizer"));
  }

  TEST_CASE("buckets are under way while backward runs") {
    if (world().size() == 1) return;
    const Traced t;
    const auto& spans = t.timeline.spans();
    Timeline::Time end;  // of backward
    for (const auto& s : spans)
      if (is(s, "backward")) end = s.end;
    std::vector<const Timeline::Span*> sums;
    for (const auto& s : spans)
      if (s.lane == Timeline::Lane::kBackground && s.name == "all_reduce")
        sums.push_back(&s);
    REQUIRE(sums.size() == 2);
    const auto first = *std::min_element(
        sums.begin(), sums.end(),
        [](const auto* a, const auto* b) { return a->begin < b->begin; });
    CHECK(first->bytes > (std::int64_t{3} << 20));
    CHECK(first->begin < end);
    // Backward goes on for tens of nodes.
    CHECK(std::count_if(spans.begin(), spans.end(), [&](const auto& s) {
            return is(s, "backward") && s.begin > first->begin;
          }) > 20);
  }

  TEST_CASE("the trace parses; intervals of a lane nest") {
    const Traced t;
    const auto events =
        dist::all_gather_text(world(), t.timeline.events(world().rank()));
    const json trace = json::parse(dist::trace_json(events));
    std::map<std::pair<int, int>, std::vector<std::pair<double, double>>> lanes;
    for (const json& e : trace.at("traceEvents")) {
      CHECK(e.at("pid").get<int>() < world().size());
      if (e.at("ph") == "M") continue;
      CHECK(e.at("ph") == "X");
      CHECK(e.at("ts").get<double>() >= 0);
      CHECK(e.at("dur").get<double>() >= 0);
      if (e.at("cat") == "collective")
        CHECK(e.at("args").at("bytes").get<std::int64_t>() >= 0);
      lanes[{e.at("pid"), e.at("tid")}].emplace_back(
          e.at("ts"), e.at("ts").get<double>() + e.at("dur").get<double>());
    }
    CHECK(lanes.size() >= static_cast<std::size_t>(world().size()));
    for (auto& [lane, intervals] : lanes) {
      std::vector<double> open;  // ends of the intervals around
      for (const auto& [begin, end] : intervals) {
        while (!open.empty() && open.back() <= begin + 1e-3) open.pop_back();
        if (!open.empty()) CHECK(end <= open.back() + 1e-3);
        open.push_back(end);
      }
    }
  }

  TEST_CASE("background intervals that overlap are on lanes of their own") {
    Timeline t;
    t.started(1, "all_reduce", 10);
    t.started(2, "all_gather", 20);
    t.completed(7);  // started before recording
    t.completed(2);
    t.completed(1);
    t.completed(1);
    CHECK(t.spans().size() == 2);
    const std::string events[] = {t.events(0)};
    const json trace = json::parse(dist::trace_json(events));
    std::vector<int> lanes;
    for (const json& e : trace.at("traceEvents"))
      if (e.at("ph") == "X") lanes.push_back(e.at("tid"));
    REQUIRE(lanes.size() == 2);
    CHECK(lanes[0] != lanes[1]);
  }
}

}  // namespace
