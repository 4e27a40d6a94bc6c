// Linear classifiers trained by the supervised method's own graph, knobs and
// optimiser, against PyTorch's on the same features (make_linear_goldens.py).

#include <doctest/doctest.h>

#include <cstring>

#include "engine/graph/autograd.h"
#include "engine/optim/optimizer.h"
#include "engine/optim/schedule.h"
#include "music/eval/classifier.h"
#include "music/method/supervised.h"
#include "tests/support/golden.h"
#include "tests/support/graph_run.h"
#include "tests/support/margin.h"

namespace {

using namespace music;
using namespace music::test;
using Settings = SupervisedSettings;

struct Shapes {
  std::int64_t samples, batch, epochs, classes, width, channels;
};

Shapes shapes_of(const Golden& golden) {
  const auto s = golden.integers("shape");
  return {s[0], s[1], s[2], s[3], s[4], s[5]};
}

Settings probe() {
  Settings s;
  s.encoder = Settings::Encoder::kFrozen;
  return s;
}

// A method without its encoder: features are put in.
class Probe {
 public:
  // features: one row a sample, shaped `sample` in the graph.
  Probe(const Golden& golden, const Settings& settings, std::int64_t units,
        Dims sample, std::vector<float> features, const ScheduleSpec& schedule,
        OptimizerSpec optimizer)
      : s_(shapes_of(golden)),
        method_(parameters_, settings,
                {.features = units, .projector = {}, .samples = s_.batch,
                 .classes = s_.classes}),
        sample_(std::move(sample)),
        features_(std::move(features)) {
    parameters_.allocate(true);
    parameters_.initialise(0);
    for (std::int64_t i = 0; i < s_.samples; ++i)
      labels_.push_back(static_cast<std::int32_t>(
          hash32("linear/labels", static_cast<std::uint64_t>(i)) %
          static_cast<std::uint32_t>(s_.classes)));
    for (int i = 0; i < static_cast<int>(parameters_.table().size()); ++i) {
      const ParameterInfo& p = parameters_.table()[static_cast<std::size_t>(i)];
      if (p.shape.rank() < 2) continue;
      const std::vector<float> w =
          hashed("linear/weight", p.shape.elements());  // PyTorch's order
      const Dims oihw{p.shape[0], p.shape[p.shape.rank() - 1], 2, 2};
      const auto ours = p.shape.rank() == 4 ? channels_last(w, oihw) : w;
      std::memcpy(parameters_.value(i).data, ours.data(),
                  ours.size() * sizeof(float));
    }
    train(schedule, optimizer);
  }

  std::vector<float> value(const std::string& name) const {
    for (int i = 0; i < static_cast<int>(parameters_.table().size()); ++i) {
      const ParameterInfo& p = parameters_.table()[static_cast<std::size_t>(i)];
      if (p.name != name) continue;
      const auto v = floats(parameters_.value(i));
      return p.shape.rank() == 4
                 ? channels_first(v, {p.shape[0], p.shape[3], 2, 2})
                 : v;
    }
    for (int i = 0; i < static_cast<int>(parameters_.buffers().size()); ++i)
      if (parameters_.buffers()[static_cast<std::size_t>(i)].name == name)
        return floats(parameters_.buffer(i));
    FAIL("no " << name);
    return {};
  }
  // Of every step: of all classifiers, or the loss of one.
  const std::vector<std::vector<float>>& losses() const { return losses_; }

 private:
  void train(const ScheduleSpec& spec, const OptimizerSpec& optimizer) {
    Graph g(parameters_);
    std::vector<std::int64_t> dims{s_.batch};
    dims.insert(dims.end(), sample_.begin(), sample_.end());
    const Value h = g.input("h", Shape(dims), DType::kF32);
    const Value y = g.input("y", {s_.batch}, DType::kI32);
    const Value seed = g.constant({1}, 1);
    const Value rows[] = {h};
    const Inputs inputs{{}, y, {nullptr, s_.batch}, 0};
    const Objective objective = method_.objective(g, rows, inputs);
    backward(g, objective.loss, seed);
    g.keep(objective.total);
    for (const Reading& r : objective.readings) g.keep(r.value);
    BoundExecutable run(std::move(g), parameters_);
    const auto update = make_optimizer(parameters_, optimizer);
    const std::int64_t steps = s_.samples / s_.batch;
    const Schedule schedule(spec, steps, s_.epochs);
    const std::int64_t size = elements(sample_);
    for (std::int64_t step = 0; step < steps * s_.epochs; ++step) {
      const std::int64_t first = step % steps * s_.batch;
      run.set_input(h, features_.data() + first * size);
      run.set_input(y, labels_.data() + first);
      run.run();
      const Position at{step, steps * s_.epochs, steps, schedule.peak,
                        schedule.share(step)};
      UpdateState state;
      state.knobs = method_.knobs(at, schedule.rate(step));
      update->step(&state, nullptr, nullptr);
      REQUIRE(state.applied == 1);
      losses_.push_back(floats(run->tensor(objective.total)));
      for (const Reading& r : objective.readings)
        if (r.name == "losses") losses_.back() = floats(run->tensor(r.value));
    }
  }

  Shapes s_;
  Parameters parameters_;
  Supervised method_;
  Dims sample_;
  std::vector<float> features_;
  std::vector<std::int32_t> labels_;
  std::vector<std::vector<float>> losses_;
};

OptimizerSpec sgd(double decay, bool nesterov) {
  OptimizerSpec o;
  o.kind = OptimizerKind::kSgd, o.weight_decay = decay, o.decay_1d = true;
  o.nesterov = nesterov;
  return o;
}

Probe grid(const Golden& golden, const std::vector<double>& rates,
           const std::vector<double>& decays) {
  const Shapes s = shapes_of(golden);
  Settings settings = probe();
  settings.rates = rates, settings.decays = decays;
  return Probe(golden, settings, s.width, {s.width},
               hashed("linear/features", s.samples * s.width),
               {.base_lr = 0.3, .batch = 256, .warmup_epochs = 0,
                .final_ratio = 0, .kind = ScheduleKind::kEpochCosine},
               sgd(0.5, false));  // the grid's decays stand in its place
}

TEST_SUITE("linear_golden") {
  TEST_CASE("five epochs of a grid of classifiers are PyTorch's") {
    const Golden golden("linear");
    const Probe p = grid(golden, golden.get("rates"), golden.get("decays"));
    for (int i = 0; i < 4; ++i) {
      CAPTURE(i);
      const std::string at = fmt::format("linear/{}/", i);
      for (const std::string name : {"weight", "bias"})
        CHECK(within(golden.error_of(at, name,
                                     p.value(fmt::format("classifier.{}.{}", i,
                                                         name))),
                     2e-6));
      std::vector<float> losses;
      for (const auto& step : p.losses())
        losses.push_back(step[static_cast<std::size_t>(i)]);
      CHECK(within(golden.error_of(at, "losses", losses), 2e-6));
    }
  }

  TEST_CASE("a grid trains each as if it were alone, to the bit") {
    const Golden golden("linear");
    const auto rates = golden.get("rates"), decays = golden.get("decays");
    const Probe all = grid(golden, rates, decays);
    for (std::size_t i = 0; i < 4; ++i) {
      const Probe one = grid(golden, {rates[i / 2]}, {decays[i % 2]});
      for (const std::string name : {"weight", "bias"})
        CHECK(one.value("classifier." + name) ==
              all.value(fmt::format("classifier.{}.{}", i, name)));
    }
  }

  TEST_CASE("the batch-norm classifier of res5 is PyTorch's") {
    const Golden golden("linear");
    const Shapes s = shapes_of(golden);
    Settings settings = probe();
    settings.features = Settings::Features::kRes5;
    settings.head = Settings::Head::kBatchNorm;
    const Probe p(golden, settings, s.channels, {2, 2, s.channels},
                  channels_last(hashed("linear/maps", s.samples * 4 * s.channels),
                                {s.samples, s.channels, 2, 2}),
                  {.base_lr = 0.1, .batch = 256, .warmup_epochs = 0,
                   .kind = ScheduleKind::kSteps, .milestones = {2, 4}},
                  sgd(0.05, true));
    for (const auto& [ours, theirs] :
         {std::pair{"norm.weight", "0.weight"}, {"norm.bias", "0.bias"},
          {"norm.running_mean", "0.running_mean"},
          {"norm.running_var", "0.running_var"}, {"weight", "2.weight"},
          {"bias", "2.bias"}}) {
      CAPTURE(ours);
      CHECK(within(golden.error_of("batch_norm/", theirs,
                                   p.value(std::string("classifier.") + ours),
                                   1e-3),
                   5e-6));
    }
    std::vector<float> losses;
    for (const auto& step : p.losses()) losses.push_back(step[0]);
    CHECK(within(golden.error_of("batch_norm/", "losses", losses), 2e-6));
  }

  TEST_CASE("counts of logits: equal ones are no hits, NaN is none") {
    LogitCounts c;
    c.add(std::vector<float>{0, 2, 1, 0, 0, 0, 0}, 1);
    CHECK((c.top1 == 1 && c.top5 == 1));
    CHECK(near(c.loss, std::log(5 + std::exp(2.0) + std::exp(1.0)) - 2, 1e-7));
    c.add(std::vector<float>(7, 3), 0);  // a row of equal logits
    CHECK((c.top1 == 1 && c.top5 == 1));
    c.add(std::vector<float>{5, 4, 3, 2, 1, 0, 0}, 4);
    CHECK((c.top1 == 1 && c.top5 == 2));
    c.add(std::vector<float>{5, 4, 3, 2, 1, 0, 0}, 5);
    CHECK((c.top1 == 1 && c.top5 == 2));
    c.add(std::vector<float>{std::nanf(""), 1, 0, 0, 0, 0, 0}, 0);
    CHECK((c.top1 == 1 && c.top5 == 2));
  }

  TEST_CASE("settings that contradict each other") {
    std::vector<std::string> warnings;
    const auto message = [&](const Settings& s) -> std::string {
      try {
        Supervised::check(s, {}, warnings);
      } catch (const Error& e) {
        return e.what();
      }
      return "";
    };
    Settings s = probe();
    s.rates = {0.1, 1}, s.decays = {0, 0.1};
    CHECK(message(s).empty());
    s.encoder = Settings::Encoder::kTrained;
    CHECK(message(s).starts_with("[config] 4 classifiers would train one encoder"));
    s = probe(), s.rates = {0.1, 0.2, 0.1};
    CHECK(message(s) == "[config] supervised.rates has 0.1 twice: expected "
                        "different ones");
    s = probe(), s.rates = {30}, s.decays = {0.1};
    CHECK(message(s).find("only grows") != std::string::npos);
    s = probe(), s.encoder_rate = 0.5;
    CHECK(message(s).find("which has no rate") != std::string::npos);
    s = probe();
    for (int i = 0; i < 64; ++i) s.rates.push_back(0.01 * (i + 1));
    CHECK(message(s).find("expected at most 63") != std::string::npos);
  }
}

}  // namespace
