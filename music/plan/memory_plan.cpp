#include "music/plan/memory_plan.h"

#include <algorithm>
#include <fstream>
#include <memory>
#include <optional>
#include <set>

#include "dist/planned.h"
#include "engine/core/device_runtime.h"
#include "engine/graph/executable.h"
#include "engine/graph/planner.h"
#include "music/model/micro_batches.h"

namespace music {
namespace {

// Of all views of a sample.
std::size_t pixel_bytes(const ModelSpec& model, const TrainingStepSpec& step) {
  return static_cast<std::size_t>(needs_of(model.method).views) * 3 *
         static_cast<std::size_t>(step.image_size) *
         static_cast<std::size_t>(step.image_size);
}

double gib(std::size_t bytes) {
  return static_cast<double>(bytes) / (std::size_t{1} << 30);
}

// A step as one of the processes records it.
struct Recorded {
  std::unique_ptr<dist::Communicator> place;
  Model model;
  std::vector<Graph> network;  // they take turns in the arena
  // In two passes, with an arena of its own.
  std::optional<ObjectiveGraph> objective;
  std::size_t rows = 0;

  Recorded(const ModelSpec& model_spec, const TrainingStepSpec& spec,
           std::int64_t batch, const Compute& compute, int processes, int rank)
      : place(dist::make_planned_communicator(rank, processes)),
        model(model_spec, {.training = true,
                           .device = compute.device,
                           .compute = compute.dtype}) {
    const std::int64_t samples = batch * processes;
    const int phases = model.method().phases();
    for (int phase = 0; phase < phases; ++phase)
      if (spec.micro_batch == 0 || spec.micro_batch >= samples)
        network.push_back(
            model.step_graph(samples, spec, place.get(), phase).graph);
    if (network.empty()) record_two_passes(spec, samples);
  }

  void record_two_passes(const TrainingStepSpec& spec, std::int64_t samples) {
    const auto parts = micro_batches(samples, spec.micro_batch, place->rank(),
                                     place->size());
    const auto embedded = model.embedded_rows(parts[0].shape.samples, spec);
    objective.emplace(model.objective_graph(samples, embedded, place.get()));
    std::int64_t largest = 0;
    std::set<PartShape> recorded;
    for (const MicroBatch& part : parts) {
      if (!recorded.insert(part.shape).second) continue;
      largest = std::max(largest, part.here);
      network.push_back(
          model.embed_graph(part.shape, spec, place.get()).graph);
      EmbedBackwardGraph backward = model.embed_backward_graph(
          part.shape, spec, *objective, place.get());
      if (backward.needed()) network.push_back(std::move(backward.graph));
    }
    rows = TwoPassLayout(embedded, *objective,
                         plan_memory(objective->graph).bytes,
                         parts.back().first + parts.back().here, largest,
                         pixel_bytes(model.spec(), spec))
               .bytes;
  }
};

// What nodes say that they take of the workspace: the most, and on which of the
// processes that share that node it is the most.
struct LargestWorkspace {
  std::size_t bytes = 0;
  int rank = 0;
};
void note_workspace(const Graph& graph, Device device, LargestWorkspace& most) {
  for (const Node& node : graph.nodes()) {
    if (!node.workspace) continue;
    const std::size_t bytes = node.workspace(request_for(graph, node, device));
    if (bytes > most.bytes) most = {bytes, node.largest_rank};
  }
}

// Of a graph on the CPU: making its kernels asks for it.
std::size_t workspace_of(Graph graph, Parameters& parameters) {
  return Executable(std::move(graph), parameters, {}).workspace_bytes();
}

}  // namespace

MemoryPlan plan_memory(const ModelSpec& model_spec,
                       const TrainingStepSpec& spec, std::int64_t batch,
                       const Compute& compute, int processes) {
  std::optional<Recorded> recorded;
  LargestWorkspace loss;
  const auto record = [&](int rank) {
    recorded.emplace(model_spec, spec, batch, compute, processes, rank);
    loss = {};
    for (const Graph& g : recorded->network)
      note_workspace(g, compute.device, loss);
    if (recorded->objective)
      note_workspace(recorded->objective->graph, compute.device, loss);
  };
  record(0);
  if (loss.rank != 0) record(loss.rank);
  const bool two_passes = recorded->objective.has_value();
  Parameters& p = recorded->model.parameters();
  const auto flat = static_cast<std::size_t>(p.flat_elements());
  MemoryPlan m;
  m.momentum = flat * sizeof(float);
  m.gradients = two_passes ? 2 * m.momentum : m.momentum;
  const std::size_t networks = p.has_target() ? 2 : 1;
  m.parameters = networks * flat * sizeof(float);
  // Once more: what a step that does not count is undone with.
  for (const auto& b : p.buffers())
    m.parameters +=
        2 * static_cast<std::size_t>(b.shape.elements()) * sizeof(float);
  if (compute.dtype != DType::kF32)
    m.rounded = networks * flat * size_of(compute.dtype);
  for (const Graph& g : recorded->network) {
    const Plan plan = plan_memory(g);
    m.activations = std::max(m.activations, plan.bytes);
    m.activations_without_reuse =
        std::max(m.activations_without_reuse, plan.bytes_without_reuse);
  }
  m.rows = recorded->rows;
  m.loss = loss.bytes;
  if (compute.device == Device::kCpu) {
    for (Graph& g : recorded->network)
      m.workspace = std::max(m.workspace, workspace_of(std::move(g), p));
    if (two_passes)
      m.workspace = std::max(
          m.workspace, workspace_of(std::move(recorded->objective->graph), p));
  } else {
    m.workspace = std::max(cuda::kMostWorkspace, m.loss);
    m.pixels = 2 * static_cast<std::size_t>(batch) *
               pixel_bytes(model_spec, spec);
    m.library = cuda::kLibraryMemory;
  }
  return m;
}

std::int64_t largest_batch(const ModelSpec& model, const TrainingStepSpec& step,
                           const Compute& compute, std::size_t bytes,
                           int processes) {
  const auto total = [&](std::int64_t n) {
    return plan_memory(model, step, n, compute, processes).total();
  };
  const auto fits = [&](std::int64_t n) { return total(n) <= bytes; };
  // A method may refuse sizes: batch norm by groups, a queue that the batch must
  // divide. Then of the powers of two.
  const auto takes = [&](std::int64_t n) {
    try {
      total(n);
      return true;
    } catch (const Error&) {
      return false;
    }
  };
  if (!takes(2) || !takes(3)) {
    constexpr std::int64_t kMost = 1 << 20;
    std::int64_t largest = 0;
    for (std::int64_t n = 2; n <= kMost; n *= 2) {
      if (!takes(n)) continue;
      if (!fits(n)) break;
      largest = n;
    }
    return largest;
  }
  if (!fits(2)) return 0;
  // Activations grow evenly with the batch, in two passes embeddings; the rest
  // hardly: two plans tell about where the limit is, a few more exactly.
  const double at2 = static_cast<double>(total(2));
  const double each = (static_cast<double>(total(34)) - at2) / 32;
  std::int64_t low = 2;
  std::int64_t high = std::max<std::int64_t>(
      3, static_cast<std::int64_t>(
             2 * (static_cast<double>(bytes) - at2) / std::max(1.0, each)) + 4);
  for (; fits(high); high *= 2) low = high;  // two passes take less
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
              "free: {}; {} --micro-batch takes less", batch, gib(needed),
              gib(available),
              largest > 0 ? fmt::format("at most {} fit", largest)
                          : std::string("not even 2 fit"),
              step.micro_batch > 0 ? "a smaller" : "a batch in two passes with");
}

}  // namespace music
