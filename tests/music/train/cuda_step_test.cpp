// Whole training steps on a GPU: against PyTorch's golden, against the CPU,
// captured against launched one by one.
#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "engine/core/rng.h"
#include "music/eval/features.h"
#include "music/train/training_step.h"
#include "tests/support/compare.h"
#include "tests/support/cuda_device.h"
#include "tests/support/golden_run.h"
#include "tests/support/margin.h"

namespace {

using namespace music;
using namespace music::test;

#ifdef MUSIC_TESTS_SHORT
constexpr bool kShort = true;
#else
constexpr bool kShort = false;
#endif
constexpr int kGoldenSteps = kShort ? 1 : 5;

constexpr int kSize = 9;
const ModelSpec kSpec = [] {
  ModelSpec spec{{.depth = 18, .width = 4, .stem = Stem::kCifar}, {24, 16}};
  spec.method.of<Music>().segment = 4;
  return spec;
}();

std::vector<std::uint8_t> pixels(std::int64_t views, std::uint32_t key) {
  std::vector<std::uint8_t> v(
      static_cast<std::size_t>(views * kSize * kSize * 3));
  Rng rng(3, RngPurpose::kTest, key);
  for (auto& p : v) p = static_cast<std::uint8_t>(rng.next());
  return v;
}

TrainingStepSpec step_spec(std::int64_t micro = 0) {
  TrainingStepSpec s;
  s.image_size = kSize;
  s.micro_batch = micro;
  return s;
}

struct Trained {
  Model model;
  TrainingStep step;

  explicit Trained(Device device, DType dtype = DType::kF32,
                   ExecutableOptions options = {}, std::int64_t micro = 0)
      : model(kSpec, ParameterStorage{.training = true,
                                      .device = device,
                                      .compute = dtype}),
        step((model.allocate(), model), step_spec(micro), {6, 5}, options) {
    model.parameters().initialise(1);
  }
  // Weights, momentum and running statistics.
  std::vector<float> state() {
    HostParameters p(model.parameters());
    std::vector<float> all(p->flat_values(),
                           p->flat_values() + p->flat_elements());
    all.insert(all.end(), p->flat_momentum(),
               p->flat_momentum() + p->flat_elements());
    for (std::size_t i = 0; i < p->buffers().size(); ++i) {
      const auto v = p->buffer(static_cast<int>(i)).span<float>();
      all.insert(all.end(), v.begin(), v.end());
    }
    return all;
  }
};

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() &&
         std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Full and short batches in turn, the next one staged while a step runs. As the
// trainer's loader does, one page-locked block (on a GPU) holds them all.
std::vector<StepOutcome> train(Trained& t, int steps) {
  std::vector<StepOutcome> outcomes;
  const bool ahead = t.step.copies_ahead();
  const Buffer batch(12 * kSize * kSize * 3,
                     ahead ? Memory::kPinned : Memory::kHost);
  const auto stage = [&](int i) {
    const std::int64_t n = i % 2 ? 5 : 6;
    const auto x = pixels(2 * n, static_cast<std::uint32_t>(i));
    std::memcpy(batch.data(), x.data(), x.size());
    t.step.stage(batch.data(), n);
  };
  stage(0);
  for (int i = 0; i < steps; ++i) {
    t.step.submit(0.1);
    t.step.wait_staged();
    const bool more = i + 1 < steps;
    if (ahead && more) stage(i + 1);
    StepOutcome outcome = t.step.finish();
    if (!ahead && more) stage(i + 1);
    outcomes.push_back(std::move(outcome));
  }
  return outcomes;
}

TEST_SUITE("cuda_step") {
  TEST_CASE("five steps follow PyTorch in fp32") {
    if (!have_device()) return;
    for (const std::string kind : {"lars", "sgd"})
      check_golden_steps(kind, Device::kCuda, kGoldenSteps);
  }

  TEST_CASE("five steps follow PyTorch in fp16 and bf16") {
    if (!have_device()) return;
    check_narrow_steps("lars", {Device::kCuda, DType::kF16}, 1024,
                       kGoldenSteps);
    check_narrow_steps("lars", {Device::kCuda, DType::kBF16}, 1, kGoldenSteps);
  }

  TEST_CASE("the step of the GPU is the step of the CPU") {
    if (!have_device()) return;
    Trained cpu(Device::kCpu), gpu(Device::kCuda);
    const auto a = train(cpu, 4), b = train(gpu, 4);
    for (std::size_t i = 0; i < a.size(); ++i) {
      CAPTURE(i);
      CHECK(b[i].applied);
      CHECK(near(b[i].total, a[i].total, 1e-4));
    }
    CHECK(within(norm_relative(gpu.state(), cpu.state()), 1e-4));
    const Tensor& mean_q = b.back().readings.at("mean_q");
    REQUIRE(mean_q.shape == Shape{2, 16});
    double sum = 0;  // each of the four segments sums to one in either view
    for (const float q : mean_q.span<float>()) sum += q;
    CHECK(near(sum, 8, 1e-5));
  }

  TEST_CASE("two passes of the GPU are two passes of the CPU") {
    if (!have_device()) return;
    Trained cpu(Device::kCpu, DType::kF32, {}, 3),
        gpu(Device::kCuda, DType::kF32, {}, 3);
    const auto a = train(cpu, 4), b = train(gpu, 4);
    for (std::size_t i = 0; i < a.size(); ++i) {
      CAPTURE(i);
      CHECK(b[i].applied);
      CHECK(near(b[i].total, a[i].total, 1e-4));
    }
    CHECK(within(norm_relative(gpu.state(), cpu.state()), 1e-4));
  }

  TEST_CASE("a captured step and separate launches give the same bits") {
    if (!have_device()) return;
    // In one pass, and in two with parts of 3 and 3, of 3 and 2.
    for (const std::int64_t micro : {0, 3})
      for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
        if (kShort && micro > 0 && dtype != DType::kF16) continue;
        CAPTURE(micro);
        CAPTURE(std::string(name_of(dtype)));
        Trained captured(Device::kCuda, dtype, {}, micro);
        train(captured, 6);  // captures at the second step of each size
        setenv("MUSIC_CUDA_GRAPH", "0", 1);
        Trained launched(Device::kCuda, dtype, {}, micro);
        unsetenv("MUSIC_CUDA_GRAPH");
        train(launched, 6);
        CHECK(same_bits(captured.state(), launched.state()));
      }
  }

#ifdef MUSIC_EMULATED
  // Streams as late as their events and waits allow, and one of the two (the
  // first computes, the second copies) as early: a copy or a result that
  // nothing waits for shows.
  TEST_CASE("streams that run late or early change no bit") {
    const auto state = [](emulator::Schedule schedule, int early, bool ahead,
                          std::int64_t micro) {
      emulator::set_schedule(schedule);
      emulator::set_early_stream(early);
      Trained t(Device::kCuda, DType::kF16, {}, micro);
      std::vector<float> result;
      const auto note = [&](const StepOutcome& o) {
        CHECK(o.applied);
        const JointEntropyTerms t = Music::terms(o.readings);
        for (const double term : {t.de, t.oe, t.ti})
          result.push_back(static_cast<float>(term));
        const auto q = o.readings.at("mean_q").span<float>();
        result.insert(result.end(), q.begin(), q.end());
      };
      t.step.set_update_state({.loss_scale = 1024});
      if (ahead)
        for (const StepOutcome& o : train(t, kShort ? 3 : 5)) note(o);
      else
        for (std::uint32_t i = 0; i < 3; ++i) {
          // Page-locked: read when the copy runs.
          const auto x = pixels(12, i);
          const Buffer batch(x.size(), Memory::kPinned);
          std::memcpy(batch.data(), x.data(), x.size());
          note(t.step.run(batch.data(), 6, 0.1 * (i + 1)));
        }
      const auto weights = t.state();
      result.insert(result.end(), weights.begin(), weights.end());
      emulator::set_schedule(emulator::Schedule::kForward);
      emulator::set_early_stream(-1);
      return result;
    };
    for (const auto& [ahead, micro] :
         {std::pair{true, 0}, {false, 0}, {true, 3}}) {
      if (kShort && !ahead) continue;
      CAPTURE(ahead);
      CAPTURE(micro);
      const auto expected = state(emulator::Schedule::kForward, -1, ahead, micro);
      for (const int early : {-1, 1}) {
        CAPTURE(early);
        CHECK(same_bits(expected,
                        state(emulator::Schedule::kReverse, early, ahead,
                              micro)));
      }
    }
  }
#endif

  TEST_CASE("planner re-use changes no bit") {
    if (!have_device()) return;
    Trained on(Device::kCuda, DType::kF16),
        off(Device::kCuda, DType::kF16, {.reuse_memory = false});
    train(on, 3);
    train(off, 3);
    CHECK(same_bits(on.state(), off.state()));
    CHECK(on.step.memory().arena < off.step.memory().arena);
  }

  TEST_CASE("an overflow halves the loss scale and moves nothing") {
    if (!have_device()) return;
    Trained t(Device::kCuda, DType::kF16);
    CHECK(t.step.update_state().loss_scale == 65536);
    train(t, 2);
    const float scale = t.step.update_state().loss_scale;
    t.step.set_update_state({.loss_scale = 1e30f});
    const auto x = pixels(12, 9);
    const auto everything = t.state();
    HostParameters before(t.model.parameters());
    const StepOutcome outcome = t.step.run(x.data(), 6, 0.1);
    CHECK_FALSE(outcome.applied);
    CHECK(outcome.loss_scale == 1e30f);
    CHECK(t.step.update_state().loss_scale == 0.5e30f);
    HostParameters after(t.model.parameters());
    const auto bytes =
        static_cast<std::size_t>(after->flat_elements()) * sizeof(float);
    CHECK(std::memcmp(before->flat_values(), after->flat_values(), bytes) == 0);
    CHECK(std::memcmp(before->flat_momentum(), after->flat_momentum(), bytes) ==
          0);
    CHECK(same_bits(t.state(), everything));
    t.step.set_update_state({.loss_scale = scale});
    CHECK(t.step.run(x.data(), 6, 0.1).applied);
  }

  // Launched for the first time, then captured, then replayed.
  TEST_CASE("a step that is not finite leaves running statistics alone") {
    if (!have_device()) return;
    for (const std::int64_t micro : {0, 3}) {
      Trained t(Device::kCuda, DType::kF32, {}, micro);
      const auto x = pixels(12, 9);
      const auto spoil = [&](float v) {
        HostParameters p(t.model.parameters());
        const float was = std::exchange(p->value(0).f32()[3], v);
        p.write_back();
        return was;
      };
      for (int round = 0; round < 3; ++round) {
        const auto before = t.state();
        const float healthy = spoil(std::numeric_limits<float>::quiet_NaN());
        CHECK_FALSE(t.step.run(x.data(), 6, 0.1).applied);
        spoil(healthy);
        CHECK(same_bits(t.state(), before));
      }
      CHECK(t.step.run(x.data(), 6, 0.1).applied);
    }
  }

  TEST_CASE("the NaN tracer names the node on a GPU too") {
    if (!have_device()) return;
    Trained t(Device::kCuda, DType::kF16, {.check_finite = true});
    HostParameters p(t.model.parameters());
    p->value(0).f32()[3] = std::numeric_limits<float>::infinity();
    p.write_back();
    const auto x = pixels(12, 0);
    std::string message;
    try {
      t.step.run(x.data(), 6, 0.1);
    } catch (const Error& e) {
      message = e.what();
    }
    CHECK(message.starts_with("[nan] node "));
    CHECK(message.find("conv2d") != std::string::npos);
  }
}

}  // namespace
