#pragma once
// Executable: a planned graph with its kernels, run many times.
//
// Executables of one model (training batch, short last batch, evaluation) share
// one arena and one workspace, because only one runs at a time:
//
//   Executable step(std::move(graph), parameters, {});
//   Buffer arena(step.arena_bytes()), workspace(step.workspace_bytes());
//   step.bind(arena.data(), workspace.data());
//   step.set_input(images, batch.pixels);
//   step.run();

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/core/buffer.h"
#include "engine/graph/graph.h"
#include "engine/graph/planner.h"

namespace music {

struct ExecutableOptions {
  Device device = Device::kCpu;
  bool reuse_memory = true;   // false: every value its own bytes
  bool check_finite = false;  // stop at the first node that writes NaN or Inf
  bool profile = false;       // collect time per node
};

// Defaults from MUSIC_CHECK_NAN=1 and MUSIC_PLANNER=off.
ExecutableOptions executable_options_from_environment();

class Executable {
 public:
  // Makes every kernel. parameters must outlive this object.
  Executable(Graph graph, Parameters& parameters, ExecutableOptions options);

  std::size_t arena_bytes() const { return plan_.bytes; }
  std::size_t workspace_bytes() const { return workspace_bytes_; }
  const Plan& plan() const { return plan_; }
  // The blocks lie in memory of the device and must outlive the runs. Call
  // once before the first run, with parameters allocated. gradients: what takes
  // the place of the parameters' flat gradient block; null: that itself.
  void bind(void* arena, void* workspace, float* gradients = nullptr);

  bool bound() const { return bound_; }

  // Where an input's bytes are, in memory of the device; may change before
  // every run that is not captured.
  void set_input(Value input, const void* data);
  // A bound value: kept values, parameters, buffers. Others hold what the last
  // kernel that used their bytes left there.
  Tensor tensor(Value v) const { return tensors_[static_cast<std::size_t>(v.id)]; }

  // Called with a node's number after run() has run it (on a GPU: queued it);
  // also while run() is captured.
  void set_observer(std::function<void(std::size_t node)> observer) {
    observer_ = std::move(observer);
  }

  // On a GPU queues the work on `stream` and returns, unless a debugging option
  // asks for more.
  void run(void* stream = nullptr);

  struct NodeTime {
    std::string op, scope;
    double milliseconds = 0;  // sum over runs; of the device on a GPU
  };
  const std::vector<NodeTime>& profile() const { return times_; }
  const Graph& graph() const { return graph_; }

 private:
  struct Step {
    std::unique_ptr<Kernel> kernel;
    std::vector<Tensor> in, out;
  };
  void run_node(std::size_t n, void* stream);
  void check_node(std::size_t n) const;

  Graph graph_;
  Parameters* parameters_;
  ExecutableOptions options_;
  Plan plan_;
  std::size_t workspace_bytes_ = 0;
  void* workspace_ = nullptr;
  bool bound_ = false;
  std::vector<Step> steps_;
  std::vector<Tensor> tensors_;
  std::vector<Buffer> constants_;
  std::vector<NodeTime> times_;
  std::function<void(std::size_t)> observer_;
};

}  // namespace music
