#include "music/plan/memory_plan.h"
#include "music/train/training_step.h"

#include <doctest/doctest.h>

#include <string>

#include "dist/planned.h"
#include "engine/core/error.h"
#include "tests/support/small_method.h"

namespace {

using namespace music;

const ModelSpec kModel = [] {
  ModelSpec spec{{.depth = 18, .width = 4, .stem = Stem::kCifar}, {24, 16}};
  spec.method.of<Music>().segment = 4;
  return spec;
}();

TrainingStepSpec step_spec() {
  TrainingStepSpec s;
  s.image_size = 12;
  return s;
}

TEST_SUITE("memory_plan") {
  TEST_CASE("the plan is what the run takes") {
    const MemoryPlan plan = plan_memory(kModel, step_spec(), 6, {});
    Model model(kModel, true);
    const TrainingStep step(model, step_spec(), {6}, {});
    CHECK(plan.activations == step.memory().arena);
    CHECK(plan.workspace == step.memory().workspace);
    CHECK(plan.activations < plan.activations_without_reuse);
    const auto flat =
        static_cast<std::size_t>(model.parameters().flat_elements());
    CHECK(plan.gradients == flat * sizeof(float));
    CHECK(plan.momentum == plan.gradients);
    CHECK(plan.parameters > plan.gradients);
    CHECK(plan.rounded == 0);
  }

  TEST_CASE("the plan of two passes is what they take") {
    for (const char* method : {"music", "byol", "vicreg", "simclr"}) {
      CAPTURE(method);
      ModelSpec spec = kModel;
      spec.method.name = method;
      TrainingStepSpec parts = step_spec();
      parts.micro_batch = 6;
      const MemoryPlan whole = plan_memory(spec, step_spec(), 20, {});
      const MemoryPlan plan = plan_memory(spec, parts, 20, {});
      Model model(spec, true);
      const TrainingStep step(model, parts, {20}, {});
      CHECK(plan.activations == step.memory().arena);
      CHECK(plan.workspace == step.memory().workspace);
      CHECK(plan.rows == step.memory().rows);
      CHECK(2 * plan.activations < whole.activations);
      CHECK(plan.gradients == 2 * whole.gradients);
      CHECK(whole.rows == 0);
      // A batch that passes at once, whatever the parts.
      parts.micro_batch = 20;
      CHECK(plan_memory(spec, parts, 20, {}).total() == whole.total());
    }
  }

  TEST_CASE("the plan of several is that of the one with the widest slab") {
    ModelSpec uneven = kModel;
    uneven.method.of<Music>().segments = {2, 14};
    std::size_t loss[2] = {};
    for (int rank = 0; rank < 2; ++rank) {
      const auto place = dist::make_planned_communicator(rank, 2);
      Model model(uneven, true);
      const StepGraph step = model.step_graph(6, step_spec(), place.get());
      for (const Node& n : step.graph.nodes()) {
        if (!n.workspace) continue;
        const auto request = request_for(step.graph, n, Device::kCpu);
        loss[rank] = n.workspace(request);
        CHECK(loss[rank] == n.make(request)->workspace_bytes());
        CHECK(n.largest_rank == 1);
      }
    }
    CHECK(loss[0] < loss[1]);
    CHECK(plan_memory(uneven, step_spec(), 3, {}, 2).loss == loss[1]);
  }

  TEST_CASE("the plan is what the step takes, whatever the method") {
    for (const std::string& name : method_names()) {
      CAPTURE(name);
      const ModelSpec spec = test::with_method(kModel, name, 6);
      const MemoryPlan plan = plan_memory(spec, step_spec(), 6, {});
      Model model(spec, true);
      const TrainingStep step(model, step_spec(), {6}, {});
      CHECK(plan.activations == step.memory().arena);
      CHECK(plan.workspace == step.memory().workspace);
      CHECK(plan.loss <= plan.workspace);
      const bool of_pairs =
          name == "music" || name == "vicreg" || name == "barlow_twins";
      CHECK((plan.loss > 0) == of_pairs);
      std::int64_t elements = model.parameters().flat_elements();
      CHECK(plan.gradients == static_cast<std::size_t>(elements) * 4);
      CHECK(plan.momentum == plan.gradients);
      if (name == "byol" || name == "moco_v2") elements *= 2;  // a target
      for (const auto& b : model.parameters().buffers())  // kept once more
        elements += 2 * b.shape.elements();
      CHECK(plan.parameters == static_cast<std::size_t>(elements) * 4);
    }
  }

  TEST_CASE("a GPU's plan knows the losses of pairs of units") {
    const Compute compute{Device::kCuda, DType::kF16};
    for (const char* const name : {"vicreg", "barlow_twins"}) {
      CAPTURE(name);
      ModelSpec spec = test::with_method(kModel, name, 512);
      spec.projector.back() = 2048;
      // Views [2N,D], a product's panels; shared, the view's slab and panels.
      for (const int processes : {1, 4}) {
        const MemoryPlan plan =
            plan_memory(spec, step_spec(), 512 / processes, compute, processes);
        const std::size_t view = 512 * 2048 * sizeof(float);
        CHECK(plan.loss > 2 * view / static_cast<std::size_t>(processes));
        CHECK(plan.loss < 10 * view);
      }
    }
  }

  TEST_CASE("the largest batch of a method that refuses sizes") {
    ModelSpec moco = kModel;
    moco.method.name = MocoV2::kName;
    moco.method.of<MocoV2>() = {.queue = 64, .group = 4};
    const auto total = [&](std::int64_t n) {
      return plan_memory(moco, step_spec(), n, {}).total();
    };
    CHECK(largest_batch(moco, step_spec(), {}, total(16)) == 16);
    CHECK(largest_batch(moco, step_spec(), {}, total(32) - 1) == 16);
    CHECK(largest_batch(moco, step_spec(), {}, total(64) * 10) == 64);
    CHECK(largest_batch(moco, step_spec(), {}, 1000) == 0);
  }

  TEST_CASE("a plan has room for every phase of a method") {
    ModelSpec swav = kModel;
    swav.method.name = Swav::kName;
    swav.method.of<Swav>() = {.prototypes = 500, .queue = 24};
    swav.samples = 6;
    const MemoryPlan plan = plan_memory(swav, step_spec(), 6, {});
    Model model(swav, true);
    const TrainingStep step(model, step_spec(), {6}, {});
    CHECK(plan.activations == step.memory().arena);
    CHECK(plan.workspace == step.memory().workspace);
  }

  TEST_CASE("16 bits halve the activations and need no device to plan") {
    const Compute half{Device::kCuda, DType::kF16};
    const Compute full{Device::kCuda, DType::kF32};
    const MemoryPlan a = plan_memory(kModel, step_spec(), 64, half);
    const MemoryPlan b = plan_memory(kModel, step_spec(), 64, full);
    const double ratio = static_cast<double>(a.activations) /
                         static_cast<double>(b.activations);
    CHECK(ratio > 0.45);
    CHECK(ratio < 0.6);
    CHECK(2 * a.rounded == a.gradients);
  }

  TEST_CASE("the largest batch is the last that fits") {
    const Compute compute{Device::kCuda, DType::kF16};
    const auto total = [&](std::int64_t n) {
      return plan_memory(kModel, step_spec(), n, compute).total();
    };
    for (const std::int64_t n : {2, 3, 37, 500}) {
      CAPTURE(n);
      const std::int64_t largest =
          largest_batch(kModel, step_spec(), compute, total(n));
      CHECK(largest >= n);
      CHECK(total(largest) <= total(n));
      CHECK(total(largest + 1) > total(n));
    }
    CHECK(largest_batch(kModel, step_spec(), compute, 1 << 20) == 0);
    TrainingStepSpec parts = step_spec();
    parts.micro_batch = 8;
    const std::size_t room = total(500);
    const std::int64_t largest = largest_batch(kModel, parts, compute, room);
    CHECK(largest > 5000);
    CHECK(plan_memory(kModel, parts, largest, compute).total() <= room);
    CHECK(plan_memory(kModel, parts, largest + 1, compute).total() > room);
  }

  TEST_CASE("what does not fit is one line with what would") {
    const Compute compute{Device::kCuda, DType::kF16};
    const std::size_t room =
        plan_memory(kModel, step_spec(), 100, compute).total();
    require_memory(kModel, step_spec(), 100, compute, room);
    require_memory(kModel, step_spec(), 1 << 20, compute, 0);  // unknown
    try {
      require_memory(kModel, step_spec(), 4096, compute, room);
      FAIL("accepted");
    } catch (const Error& e) {
      CHECK(e.code() == ExitCode::kUsage);
      const std::string what = e.what();
      CHECK(what.starts_with("[memory] 4096 samples a process need "));
      CHECK(what.find("GiB are free: at most 1") != std::string::npos);
      CHECK(what.ends_with("; a batch in two passes with --micro-batch takes less"));
    }
  }
}

}  // namespace
