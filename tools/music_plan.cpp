// music_plan: what a training run will take, before anything is allocated.

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/core/device_runtime.h"
#include "layers/projector.h"
#include "music/plan/memory_plan.h"
#include "music/plan/node_cost.h"
#include "music/train/trainer.h"
#include "tools/cli.h"
#include "tools/encoder_cli.h"
#include "tools/plan_scaling.h"
#include "tools/training_cli.h"

namespace {

using namespace music;

double mib(std::size_t bytes) {
  return static_cast<double>(bytes) / (1 << 20);
}

int plan_main(int argc, char** argv) {
  CLI::App app("Tells what a training run takes, for the settings of music_train.");
  double memory_gib = 0;
  int processes = 1;
  ScalingOptions scaling;
  bool json = false;
  app.add_option("--memory-gib", memory_gib,
                 "memory of a process's device (default: what is free here)")
      ->check(CLI::PositiveNumber);
  app.add_option("--processes", processes,
                 "that share the batch (default: --nodes times --gpus)")
      ->check(CLI::Range(1, 1 << 20));
  scaling.add_to(app);
  app.add_flag("--json", json, "print one JSON object");
  const auto resolved = configure_training(app, argc, argv);
  if (!resolved) return 0;
  const bool predicts = scaling.settle(app);
  Config c = resolved->value;
  if (predicts && scaling.profile.empty() &&
      c.train.device == DeviceChoice::kAuto)
    c.train.device = DeviceChoice::kCuda;
  if (predicts && memory_gib == 0 && !scaling.processor.empty())
    memory_gib = processor(scaling.processor).memory_gib;
  if (app.count("--processes") == 0) {
    processes = scaling.layout.ranks();
  } else if (predicts && processes != scaling.layout.ranks()) {
    throw error(ExitCode::kUsage,
                "[plan] --processes {} on {} nodes of {}: expected {}",
                processes, scaling.layout.nodes, scaling.layout.per_node,
                scaling.layout.ranks());
  }
  if (c.train.batch < processes)
    throw error(ExitCode::kUsage,
                "[plan] batch of {} samples for {} processes: expected at "
                "least one sample each", c.train.batch, processes);
  if (predicts && c.train.micro_batch > 0 && c.train.micro_batch < c.train.batch)
    throw error(ExitCode::kUsage,
                "[plan] train.micro_batch = {} of {} samples: the time of a step "
                "is known in one pass only, expected 0", c.train.micro_batch,
                c.train.batch);
  const bool here = c.train.device == DeviceChoice::kAuto || memory_gib == 0;
  // A plan for another machine needs no device of this one.
  const Compute compute =
      here ? choose_compute(c.train.device, c.train.precision)
           : planned_compute(c.train.device, c.train.precision);
  const TrainingStepSpec step = training_step_spec(c);
  const ModelSpec model = model_spec(c);
  const std::int64_t batch = (c.train.batch + processes - 1) / processes;
  const MemoryPlan m = plan_memory(model, step, batch, compute, processes);
  const std::size_t available =
      memory_gib > 0 ? static_cast<std::size_t>(memory_gib * (1ull << 30))
                     : available_memory(compute.device);
  const std::int64_t largest =
      available ? largest_batch(model, step, compute, available, processes) : 0;
  if (json) {
    nlohmann::json j = {
        {"device", name_of(compute.device)}, {"dtype", name_of(compute.dtype)},
        {"samples", batch}, {"parameters_mib", mib(m.parameters)},
        {"rounded_mib", mib(m.rounded)}, {"gradients_mib", mib(m.gradients)},
        {"momentum_mib", mib(m.momentum)},
        {"activations_mib", mib(m.activations)},
        {"workspace_mib", mib(m.workspace)}, {"loss_mib", mib(m.loss)},
        {"rows_mib", mib(m.rows)},
        {"pixels_mib", mib(m.pixels)},
        {"library_mib", mib(m.library)}, {"total_mib", mib(m.total())},
        {"available_mib", mib(available)}, {"largest_samples", largest}};
    if (predicts)
      j["step"] =
          nlohmann::json::parse(plan_scaling(scaling, c, compute, true));
    fmt::print("{}\n", j.dump());
  } else {
    fmt::print("{} samples ({} views) a process, {} {}\n", batch,
               needs_of(c.method).views * batch,
               name_of(compute.device), name_of(compute.dtype));
    const auto row = [](const char* name, std::size_t bytes, const char* note) {
      if (bytes > 0) fmt::print("  {:<22}{:>12.1f} MiB  {}\n", name, mib(bytes), note);
    };
    row("parameters", m.parameters, "fp32, running statistics with them");
    row("rounded parameters", m.rounded, "what kernels compute with");
    row("gradients", m.gradients,
        m.rows > 0 ? "their sum, and those of a micro-batch" : "");
    row("momentum", m.momentum, "");
    const std::string reuse =
        fmt::format("{:.1f} MiB without re-use", mib(m.activations_without_reuse));
    row("activations", m.activations, reuse.c_str());
    const std::string loss = fmt::format(
        "{}{:.1f} MiB of it for the loss",
        compute.device == Device::kCuda ? "at most, " : "", mib(m.loss));
    row("workspace", m.workspace, loss.c_str());
    row("rows", m.rows, "between the passes: embeddings and their gradients");
    row("pixels", m.pixels, "this batch and the next");
    row("CUDA libraries", m.library, "typical");
    row("total", m.total(), "");
    if (available)
      fmt::print("  {:<22}{:>12.1f} MiB  at most {} samples a process fit\n",
                 "available", mib(available), largest);
  }
  if (predicts && !json)
    fmt::print("{}", plan_scaling(scaling, c, compute, false));
  require_memory(model, step, batch, compute, available, processes);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return music::run_main(argc, argv, plan_main);
}
