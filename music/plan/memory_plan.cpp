#include "music/plan/memory_plan.h"

#include <algorithm>
#include <fstream>

#include "dist/planned.h"
#include "engine/core/device_runtime.h"
#include "engine/graph/executable.h"
#include "engine/graph/planner.h"
#include "music/loss/column_slabs.h"
#include "music/loss/cpu/joint_entropy.h"

namespace music {
namespace {

double gib(std::size_t bytes) {
  return static_cast<double>(bytes) / (std::size_t{1} << 30);
}

// On a GPU from the sizes of its parts: codes of both views and G; of several
// processes codes and gradient of the slab, what is exchanged, two panels.
std::size_t loss_workspace(const Segments& segments,
                           const JointEntropySpec& loss, std::int64_t batch,
                           const Compute& compute,
                           dist::Communicator& place) {
  const std::int64_t samples = batch * place.size();
  if (compute.device == Device::kCpu)
    return cpu::JointEntropy({batch, &segments, loss, 0, &place,
                              samples}).workspace_bytes();
  const std::int64_t units = segments.units();
  const std::int64_t code = compute.dtype == DType::kF32 ? 4 : 2;
  const auto codes = 2 * batch * units * code;
  if (place.size() == 1)
    return static_cast<std::size_t>(
        codes + units * std::min<std::int64_t>(units, 4096) * (code + 2));
  const std::int64_t panel = std::min(
      units, gpu_panel_units(samples, segments, place.size(), code));
  const std::int64_t columns =
      (units + place.size() - 1) / place.size() + segments.size(0);
  return static_cast<std::size_t>(
      codes + batch * units * 4 + samples * columns * (code + 4) +
      2 * samples * panel * (code + 4) + panel * columns * (code + 4));
}

// The rank with the most columns of P.
int widest_slab(const Segments& segments, int ranks) {
  const auto slab = column_slabs(segments, ranks);
  int widest = 0;
  std::int64_t most = -1;
  for (int r = 0; r < ranks; ++r) {
    const auto i = static_cast<std::size_t>(r);
    if (slab[i + 1] - slab[i] > most) most = slab[i + 1] - slab[i], widest = r;
  }
  return widest;
}

}  // namespace

MemoryPlan plan_memory(const ModelSpec& model_spec,
                       const TrainingStepSpec& spec, std::int64_t batch,
                       const Compute& compute, int processes) {
  const auto& settings = model_spec.method.of<Music>();
  const Segments segments =
      make_segments(settings, model_spec.projector.back());
  const auto place = dist::make_planned_communicator(
      widest_slab(segments, processes), processes);
  Model model(model_spec, {.training = true,
                           .device = compute.device,
                           .compute = compute.dtype});
  StepGraph step =
      model.step_graph(batch * processes, spec, place.get());
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
  m.loss = loss_workspace(segments, settings.entropy, batch, compute, *place);
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
