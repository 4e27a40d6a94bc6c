#include "music/plan/memory_plan.h"

#include <algorithm>
#include <fstream>
#include <memory>
#include <optional>

#include "dist/planned.h"
#include "engine/core/device_runtime.h"
#include "engine/graph/executable.h"
#include "engine/graph/planner.h"

namespace music {
namespace {

double gib(std::size_t bytes) {
  return static_cast<double>(bytes) / (std::size_t{1} << 30);
}

// A step as one of the processes records it.
struct Recorded {
  std::unique_ptr<dist::Communicator> place;
  Model model;
  StepGraph step;

  Recorded(const ModelSpec& model_spec, const TrainingStepSpec& spec,
           std::int64_t batch, const Compute& compute, int processes, int rank)
      : place(dist::make_planned_communicator(rank, processes)),
        model(model_spec, {.training = true,
                           .device = compute.device,
                           .compute = compute.dtype}),
        step(model.step_graph(batch * processes, spec, place.get())) {}
};

// What nodes say that they take of the workspace: the most, and on which of the
// processes that share that node it is the most.
struct LargestWorkspace {
  std::size_t bytes = 0;
  int rank = 0;
};
LargestWorkspace largest_workspace(const Graph& graph, Device device) {
  LargestWorkspace most;
  for (const Node& node : graph.nodes()) {
    if (!node.workspace) continue;
    const std::size_t bytes = node.workspace(request_for(graph, node, device));
    if (bytes > most.bytes) most = {bytes, node.largest_rank};
  }
  return most;
}

}  // namespace

MemoryPlan plan_memory(const ModelSpec& model_spec,
                       const TrainingStepSpec& spec, std::int64_t batch,
                       const Compute& compute, int processes) {
  std::optional<Recorded> recorded;
  LargestWorkspace loss;
  const auto record = [&](int rank) {
    recorded.emplace(model_spec, spec, batch, compute, processes, rank);
    loss = largest_workspace(recorded->step.graph, compute.device);
  };
  record(0);
  if (loss.rank != 0) record(loss.rank);
  Model& model = recorded->model;
  StepGraph& step = recorded->step;
  const Parameters& p = model.parameters();
  const Plan plan = plan_memory(step.graph);
  const auto flat = static_cast<std::size_t>(p.flat_elements());
  MemoryPlan m;
  m.gradients = m.momentum = flat * sizeof(float);
  const std::size_t networks = p.has_target() ? 2 : 1;
  m.parameters = networks * flat * sizeof(float);
  for (const auto& b : p.buffers())
    m.parameters += static_cast<std::size_t>(b.shape.elements()) * sizeof(float);
  if (compute.dtype != DType::kF32)
    m.rounded = networks * flat * size_of(compute.dtype);
  m.activations = plan.bytes;
  m.activations_without_reuse = plan.bytes_without_reuse;
  m.loss = loss.bytes;
  if (compute.device == Device::kCpu) {
    // Without kernels: making them asks for their workspace.
    m.workspace = Executable(std::move(step.graph), model.parameters(), {})
                      .workspace_bytes();
  } else {
    m.workspace = std::max(cuda::kMostWorkspace, m.loss);
    m.pixels = 2 * static_cast<std::size_t>(step.graph.shape(step.pixels).elements());
    m.library = cuda::kLibraryMemory;
  }
  return m;
}

std::int64_t largest_batch(const ModelSpec& model, const TrainingStepSpec& step,
                           const Compute& compute, std::size_t bytes,
                           int processes) {
  // Activations grow evenly with the batch; the rest hardly: two plans tell
  // about where the limit is, a few more exactly.
  const auto total = [&](std::int64_t n) {
    return plan_memory(model, step, n, compute, processes).total();
  };
  const auto fits = [&](std::int64_t n) { return total(n) <= bytes; };
  if (!fits(2)) return 0;
  const double at2 = static_cast<double>(total(2));
  const double each = (static_cast<double>(total(34)) - at2) / 32;
  std::int64_t low = 2;
  std::int64_t high = std::max<std::int64_t>(
      3, static_cast<std::int64_t>(
             2 * (static_cast<double>(bytes) - at2) / std::max(1.0, each)) + 4);
  while (high - low > 1) {
    const std::int64_t middle = low + (high - low) / 2;
    (fits(middle) ? low : high) = middle;
  }
  return low;
}

std::size_t available_memory(Device device) {
  if (device == Device::kCuda) return cuda::device_info().free_bytes;
  std::ifstream file("/proc/meminfo");
  for (std::string key; file >> key;) {
    std::size_t kib = 0;
    if (key == "MemAvailable:" && file >> kib) return kib << 10;
    file.ignore(256, '\n');
  }
  return 0;
}

void require_memory(const ModelSpec& model, const TrainingStepSpec& step,
                    std::int64_t batch, const Compute& compute,
                    std::size_t available, int processes) {
  if (available == 0) return;
  const std::size_t needed =
      plan_memory(model, step, batch, compute, processes).total();
  if (needed <= available) return;
  const std::int64_t largest =
      largest_batch(model, step, compute, available, processes);
  throw error(ExitCode::kUsage,
              "[memory] {} samples a process need {:.2f} GiB, {:.2f} GiB are "
              "free: {}", batch, gib(needed), gib(available),
              largest > 0 ? fmt::format("at most {} fit", largest)
                          : std::string("not even 2 fit"));
}

}  // namespace music
