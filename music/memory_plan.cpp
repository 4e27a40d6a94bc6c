#include "music/memory_plan.h"

#include <algorithm>
#include <fstream>

#include "engine/core/device_runtime.h"
#include "engine/graph/planner.h"

namespace music {
namespace {

double gib(std::size_t bytes) {
  return static_cast<double>(bytes) / (std::size_t{1} << 30);
}

}  // namespace

MemoryPlan plan_memory(const ModelSpec& model_spec,
                       const TrainingStepSpec& spec, std::int64_t batch,
                       const Compute& compute) {
  Model model(model_spec, {.training = true,
                           .device = compute.device,
                           .compute = compute.dtype});
  StepGraph step = model.step_graph(batch, spec.image_size, spec.pixels,
                                    spec.segments, spec.loss);
  const Parameters& p = model.parameters();
  const Plan plan = plan_memory(step.graph);
  const auto flat = static_cast<std::size_t>(p.flat_elements());
  MemoryPlan m;
  m.gradients = m.momentum = flat * sizeof(float);
  m.parameters = flat * sizeof(float);
  for (const auto& b : p.buffers())
    m.parameters += static_cast<std::size_t>(b.shape.elements()) * sizeof(float);
  if (compute.dtype != DType::kF32) m.rounded = flat * size_of(compute.dtype);
  m.activations = plan.bytes;
  m.activations_without_reuse = plan.bytes_without_reuse;
  if (compute.device == Device::kCpu) {
    // Without kernels: making them asks for their workspace.
    m.workspace = Executable(std::move(step.graph), model.parameters(), {})
                      .workspace_bytes();
  } else {
    m.workspace = cuda::kMostWorkspace;
    m.pixels = 2 * static_cast<std::size_t>(step.graph.shape(step.pixels).elements());
    m.library = cuda::kLibraryMemory;
  }
  return m;
}

std::int64_t largest_batch(const ModelSpec& model, const TrainingStepSpec& step,
                           const Compute& compute, std::size_t bytes) {
  // Activations grow evenly with the batch; the rest hardly: two plans tell
  // about where the limit is, a few more exactly.
  const auto fits = [&](std::int64_t n) {
    return plan_memory(model, step, n, compute).total() <= bytes;
  };
  if (!fits(2)) return 0;
  const double at2 =
      static_cast<double>(plan_memory(model, step, 2, compute).total());
  const double each =
      (static_cast<double>(plan_memory(model, step, 34, compute).total()) - at2) /
      32;
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
                    std::size_t available) {
  if (available == 0) return;
  const std::size_t needed = plan_memory(model, step, batch, compute).total();
  if (needed <= available) return;
  const std::int64_t largest = largest_batch(model, step, compute, available);
  throw error(ExitCode::kUsage,
              "[memory] {} samples a process need {:.2f} GiB, {:.2f} GiB are "
              "free: {}", batch, gib(needed), gib(available),
              largest > 0 ? fmt::format("at most {} fit", largest)
                          : std::string("not even 2 fit"));
}

}  // namespace music
