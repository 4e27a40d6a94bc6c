#include <doctest/doctest.h>

#include <cstring>
#include <limits>
#include <optional>
#include <vector>

#include "engine/core/device_runtime.h"
#include "engine/core/half.h"
#include "engine/core/rng.h"
#include "tests/support/cuda_device.h"
#include "tests/support/margin.h"
#include "tests/support/optim.h"
#include "tests/support/optim_groups.h"

namespace {

using namespace music;
using namespace music::test;

constexpr ParameterStorage on_gpu(DType compute = DType::kF32) {
  return {.training = true, .device = Device::kCuda, .compute = compute};
}

// Tensors of one block and of several, with and without a ragged end.
struct SmallModel : Parameters {
  explicit SmallModel(const ParameterStorage& where) {
    add("a", {300, 700}, Init::uniform(1));
    add("b", {70001}, Init::uniform(1));
    add("c", {3, 5}, Init::uniform(1));
    add("d", {1}, Init::uniform(1));
    add("e", {128, 256}, Init::uniform(1));
    set_storage(where);
    allocate();
    initialise(1);
  }
  // Draws gradients of the `step`th step, times scale.
  void draw_gradients(std::uint64_t step, float scale = 1) {
    Rng rng(step, RngPurpose::kTest);
    std::vector<float> g(static_cast<std::size_t>(flat_elements()));
    for (float& v : g) v = scale * rng.uniform(-1, 1);
    upload(flat_gradients(), g.data(), g.size() * sizeof(float), device());
  }
  void set_gradient(std::int64_t i, float v) {
    upload(flat_gradients() + i, &v, sizeof v, device());
  }
  // Values, momentum and the rounded values.
  std::vector<std::byte> state() {
    const std::size_t n = static_cast<std::size_t>(flat_elements());
    const std::size_t rounded = flat_compute_values() ? 2 * n : 0;
    std::vector<std::byte> bytes(8 * n + rounded);
    download(bytes.data(), flat_values(), 4 * n, device());
    download(bytes.data() + 4 * n, flat_momentum(), 4 * n, device());
    if (rounded)
      download(bytes.data() + 8 * n, flat_compute_values(), rounded, device());
    return bytes;
  }
};

OptimizerSpec spec_of(OptimizerKind kind) {
  OptimizerSpec spec;
  spec.kind = kind, spec.weight_decay = 0.1, spec.eta = 0.02;
  return spec;
}

TEST_SUITE("cuda_optim") {
  TEST_CASE("ten steps of LARS and SGD follow PyTorch") {
    on_device([] {
      check_optimizer_goldens(on_gpu());
      check_optimizer_goldens(on_gpu(), 1024);
      check_optimizer_goldens(on_gpu(DType::kF16));
    });
  }

  TEST_CASE("groups of parameters have rates, and a target follows") {
    on_device([] {
      check_groups_and_target(on_gpu());
      check_groups_and_target(on_gpu(DType::kF16), 1024);
      check_groups_and_target(on_gpu(DType::kBF16));
    });
  }

  TEST_CASE("tensors of many blocks follow the CPU, with the same bits again") {
    for (const auto kind : {OptimizerKind::kLars, OptimizerKind::kSgd}) {
      const bool frozen = kind == OptimizerKind::kLars;  // two of the five
      const auto freeze = [frozen](SmallModel& m) {
        if (frozen) m.freeze(0), m.freeze(3);
      };
      SmallModel cpu({.training = true});
      freeze(cpu);
      OptimizerRun expected(cpu, spec_of(kind));
      for (std::uint64_t step = 0; step < 3; ++step) {
        cpu.draw_gradients(step);
        expected.step(0.5);
      }
      std::vector<std::byte> first;
      on_device([&] {
        for (int repeat = 0; repeat < 2; ++repeat) {
          SmallModel gpu(on_gpu());
          freeze(gpu);
          OptimizerRun run(gpu, spec_of(kind));
          for (std::uint64_t step = 0; step < 3; ++step) {
            gpu.draw_gradients(step);
            run.step(0.5);
          }
          for (int i = 0; i < 5; ++i) {
            CAPTURE(i);
            CHECK(within(norm_relative(floats(gpu.value(i), Device::kCuda),
                                       floats(cpu.value(i))),
                         1e-6));
            CHECK(within(norm_relative(floats(gpu.momentum(i), Device::kCuda),
                                       floats(cpu.momentum(i))),
                         1e-6));
            if (frozen && (i == 0 || i == 3))
              CHECK(norm(floats(gpu.momentum(i), Device::kCuda)) == 0);
          }
          if (first.empty()) first = gpu.state();
          CHECK(gpu.state() == first);
        }
      });
    }
  }

  TEST_CASE("the 16-bit copy is the values, rounded") {
    on_device([] {
      for (const DType dtype : {DType::kF16, DType::kBF16}) {
        SmallModel p(on_gpu(dtype));
        OptimizerRun run(p, spec_of(OptimizerKind::kLars));
        p.draw_gradients(1);
        const auto before = p.state();
        CHECK(run.step(0.5).applied == 1);
        CHECK(p.state() != before);
        for (int i = 0; i < 5; ++i) {
          const auto values = floats(p.value(i), Device::kCuda);
          std::vector<std::uint16_t> copy(values.size()), rounded;
          download(copy.data(), p.compute_value(i).data, 2 * copy.size(),
                   Device::kCuda);
          for (const float v : values)
            rounded.push_back(dtype == DType::kF16 ? to_half(v).bits
                                                   : to_bfloat16(v).bits);
          CHECK(copy == rounded);
        }
      }
    });
  }

  TEST_CASE("an overflow moves nothing but the loss scale, which grows back") {
    const float infinity = std::numeric_limits<float>::infinity();
    const float nan = std::numeric_limits<float>::quiet_NaN();
    on_device([&] {
      for (const auto kind : {OptimizerKind::kLars, OptimizerKind::kSgd}) {
        SmallModel p(on_gpu(DType::kF16));
        const ParameterInfo last = p.table()[4];
        OptimizerRun run(p, spec_of(kind), {.dynamic = true, .interval = 3});
        UpdateState state{.loss_scale = 65536, .good_steps = 2};
        run.set(state);
        const auto start = p.state();
        const auto check_skipped = [&](std::optional<float> loss) {
          state.loss_scale /= 2;
          const UpdateState after = run.step(0.5, loss);
          CHECK(after.applied == 0);
          CHECK(after.good_steps == 0);
          CHECK(after.loss_scale == state.loss_scale);
          CHECK(p.state() == start);
        };
        // The first and the last element, one of a ragged end, a vector's.
        for (const std::int64_t at :
             {std::int64_t{0}, last.offset + last.shape.elements() - 1,
              p.table()[2].offset + 14, p.table()[1].offset + 70000})
          for (const float bad : {infinity, -infinity, nan}) {
            p.draw_gradients(7, state.loss_scale);
            p.set_gradient(at, bad);
            check_skipped({});
          }
        p.draw_gradients(7, state.loss_scale);
        check_skipped(nan);
        check_skipped(infinity);
        // Doubled once in three good steps.
        for (int step = 1; step <= 7; ++step) {
          p.draw_gradients(7, state.loss_scale);
          if (step % 3 == 0) state.loss_scale *= 2;
          const UpdateState after = run.step(0.5, 1.0f);
          CHECK(after.applied == 1);
          CHECK(after.good_steps == step % 3);
          CHECK(after.loss_scale == state.loss_scale);
        }
        CHECK(p.state() != start);
      }
    });
  }

  TEST_CASE("a scale that is not dynamic stays, also when a step is skipped") {
    on_device([] {
      SmallModel p(on_gpu());
      OptimizerRun run(p, spec_of(OptimizerKind::kLars));
      run.set({.loss_scale = 8});
      p.draw_gradients(1);
      CHECK(run.step(0.5).loss_scale == 8);
      const auto before = p.state();
      p.set_gradient(3, std::numeric_limits<float>::quiet_NaN());
      const UpdateState after = run.step(0.5);
      CHECK(after.applied == 0);
      CHECK(after.loss_scale == 8);
      CHECK(p.state() == before);
    });
  }

  TEST_CASE("a captured step reads rate and scale when it is launched") {
    on_device([] {
      SmallModel direct(on_gpu(DType::kBF16)), captured(on_gpu(DType::kBF16));
      const LossScaleSpec scale{.dynamic = true, .interval = 2};
      OptimizerRun a(direct, spec_of(OptimizerKind::kLars), scale);
      OptimizerRun b(captured, spec_of(OptimizerKind::kLars), scale);
      cuda::Stream stream;
      cuda::CapturedGraph graph;
      graph.begin(stream.get());
      b.queue(stream.get());
      graph.end(stream.get());
      float loss_scale = 16;
      a.set({.loss_scale = loss_scale}), b.set({.loss_scale = loss_scale});
      for (std::uint64_t step = 0; step < 3; ++step) {
        const float rate = 0.5f / static_cast<float>(1 + step);
        direct.draw_gradients(step, loss_scale);
        captured.draw_gradients(step, loss_scale);
        loss_scale = a.step(rate).loss_scale;
        UpdateState state = b.state();
        state.knobs.set_rate(rate);
        b.set(state);
        graph.launch(stream.get());
        cuda::synchronize(stream.get());
        CHECK(b.state().loss_scale == loss_scale);
        CHECK(captured.state() == direct.state());
      }
      CHECK(loss_scale == 32);
    });
  }

  TEST_CASE("parameters without gradients are refused") {
    on_device([] {
      SmallModel p({.training = false, .device = Device::kCuda});
      CHECK_THROWS_WITH_AS(
          make_optimizer(p, {}),
          "[optimizer] parameters are not allocated for training", Error);
    });
  }
}

}  // namespace
