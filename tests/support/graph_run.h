#pragma once
// Running a recorded graph in tests: with every tensor between guards, or by
// the Executable; and injecting any gradient into any value.

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/core/buffer.h"
#include "engine/core/device_runtime.h"
#include "engine/graph/executable.h"
#include "engine/ops/reduce.h"
#include "engine/ops/scale.h"

namespace music::test {

// A one-element loss whose gradient with respect to y is dy (y's shape).
inline Value inject_gradient(Graph& graph, Value y, Value dy) {
  Node node;
  node.op = "inject_gradient";
  node.inputs = {y, dy};
  node.make = [](const KernelRequest& r) {
    return MUSIC_MAKE(make_reduce_forward, r, ReduceKind::kSum);
  };
  node.backward = [](Graph& g, const Node& n,
                     const std::vector<GradientParts>& parts) {
    return std::vector<Value>{scale(g, n.inputs[1], g.sum(parts[0])), Value{}};
  };
  return graph.add1(std::move(node), Shape{1});
}

// Interprets a graph node by node. Every tensor and the workspace lie between
// guard bytes and start as NaN; after each node the guards and the node's
// inputs must be as they were (buffers, and parameters that the node says it
// updates, may be written in place). Parameters
// are copied, so their blocks stay untouched. `inputs` lie in host memory.
class GuardedRun {
 public:
  GuardedRun(Graph graph, const Parameters& parameters,
             const std::map<int, const void*>& inputs)
      : graph_(std::move(graph)) {
    for (std::size_t i = 0; i < graph_.values().size(); ++i) {
      const ValueInfo& v = graph_.values()[i];
      Tensor t{nullptr, v.shape, v.dtype};
      Block& block = blocks_.emplace_back(t.bytes(), device());
      t.data = block.body();
      tensors_.push_back(t);
      const auto copy = [&](const Tensor& from) {
        std::vector<std::byte> bytes(from.bytes());
        download(bytes.data(), from.data, bytes.size(), device());
        upload(t.data, bytes.data(), bytes.size(), device());
      };
      switch (v.storage) {
        case Storage::kInput:
          upload(t.data, inputs.at(static_cast<int>(i)), t.bytes(), device());
          break;
        case Storage::kConstant: {
          const std::vector<float> values(
              static_cast<std::size_t>(t.elements()),
              static_cast<float>(v.constant));
          upload(t.data, values.data(), t.bytes(), device());
          break;
        }
        case Storage::kParameter: copy(parameters.value(v.slot)); break;
        case Storage::kTarget: copy(parameters.target(v.slot)); break;
        case Storage::kBuffer: copy(parameters.buffer(v.slot)); break;
        case Storage::kPlanned:
        case Storage::kGradient: break;
      }
    }
    for (const Node& node : graph_.nodes()) run(node);
  }

  // The first thing a kernel did that it must not; empty: none.
  const std::string& problem() const { return problem_; }
  Device device() const { return graph_.device(); }
  Tensor tensor(Value v) const {
    return tensors_[static_cast<std::size_t>(v.id)];
  }
  // The value of this storage and slot; null data when the graph has none.
  Tensor slot(Storage storage, int index) const {
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      const ValueInfo& v = graph_.values()[i];
      if (v.storage == storage && v.slot == index) return tensors_[i];
    }
    return {};
  }

 private:
  class Block {
   public:
    Block(std::size_t bytes, Device device)
        : bytes_(bytes),
          device_(device),
          memory_(aligned(bytes) + 2 * kGuard, memory_of(device)) {
      std::vector<unsigned char> start(memory_.bytes(), kMark);
      std::fill_n(start.begin() + kGuard, bytes, 0xFF);
      upload(memory_.data(), start.data(), start.size(), device);
    }
    std::byte* body() const { return memory_.as<std::byte>() + kGuard; }
    std::vector<std::byte> contents() const {
      std::vector<std::byte> bytes(bytes_);
      download(bytes.data(), body(), bytes_, device_);
      return bytes;
    }
    bool intact() const {
      std::vector<unsigned char> p(memory_.bytes());
      download(p.data(), memory_.data(), p.size(), device_);
      const auto marked = [](unsigned char c) { return c == kMark; };
      return std::all_of(p.begin(), p.begin() + kGuard, marked) &&
             std::all_of(p.begin() + static_cast<std::ptrdiff_t>(kGuard + bytes_),
                         p.end(), marked);
    }

   private:
    static constexpr std::size_t kGuard = 4096;
    static constexpr unsigned char kMark = 0xA5;
    std::size_t bytes_;
    Device device_;
    Buffer memory_;
  };

  void run(const Node& node) {
    KernelRequest request;
    request.device = device();
    std::vector<Tensor> in, out;
    std::vector<std::vector<std::byte>> before;
    for (Value v : node.inputs) {
      request.in.push_back(graph_.info(v));
      in.push_back(tensor(v));
      before.push_back(blocks_[static_cast<std::size_t>(v.id)].contents());
    }
    for (Value v : node.outputs) {
      request.out.push_back(graph_.info(v));
      out.push_back(tensor(v));
    }
    const auto kernel = node.make(request);
    const Block workspace(kernel->workspace_bytes(), device());
    kernel->run({in, out, workspace.body(), nullptr});
    if (!problem_.empty()) return;
    for (std::size_t i = 0; i < in.size(); ++i)
      if (request.in[i].storage != Storage::kBuffer &&
          std::count(node.updates.begin(), node.updates.end(), i) == 0 &&
          before[i] !=
              blocks_[static_cast<std::size_t>(node.inputs[i].id)].contents())
        problem_ = node.op + " wrote its input " + request.in[i].name;
    if (!workspace.intact())
      problem_ = node.op + " wrote outside its workspace";
    for (const auto* list : {&node.inputs, &node.outputs})
      for (Value v : *list)
        if (!blocks_[static_cast<std::size_t>(v.id)].intact())
          problem_ = node.op + " wrote outside " + graph_.info(v).name;
  }

  Graph graph_;
  std::vector<Block> blocks_;
  std::vector<Tensor> tensors_;
  std::string problem_;
};

// An executable with memory of its own, for tests that run one graph, on the
// device of its parameters. The arena starts as NaN.
struct BoundExecutable {
  Executable executable;
  Buffer arena, workspace;
  std::map<int, Buffer> inputs;
  Device device;

  BoundExecutable(Graph graph, Parameters& parameters,
                  ExecutableOptions options = {})
      : executable(std::move(graph), parameters, on(options, parameters)),
        arena(executable.arena_bytes(), memory_of(parameters.device())),
        workspace(executable.workspace_bytes(), memory_of(parameters.device())),
        device(parameters.device()) {
    arena.fill(0xFF);  // stale memory reads as NaN
    workspace.fill(0xFF);
    executable.bind(arena.data(), workspace.data());
  }
  Executable* operator->() { return &executable; }
  // Runs once and waits; on a GPU from a captured graph, as training does.
  void run() {
    if (device == Device::kCpu) return executable.run();
    const cuda::Stream stream;
    cuda::CapturedGraph graph;
    graph.begin(stream.get());
    executable.run(stream.get());
    graph.end(stream.get());
    graph.launch(stream.get());
    cuda::synchronize(stream.get());
  }
  // From host memory, which must stay while the executable runs.
  void set_input(Value v, const void* data) {
    if (device != Device::kCpu) {
      const std::size_t bytes = executable.tensor(v).bytes();
      Buffer& copy = inputs[v.id];
      copy = Buffer(bytes, memory_of(device));
      upload(copy.data(), data, bytes, device);
      data = copy.data();
    }
    executable.set_input(v, data);
  }

 private:
  static ExecutableOptions on(ExecutableOptions options, const Parameters& p) {
    options.device = p.device();
    return options;
  }
};

// The elements of a tensor in memory of `device`.
inline std::vector<float> floats(const Tensor& t, Device device = Device::kCpu) {
  std::vector<float> v(static_cast<std::size_t>(t.elements()));
  MUSIC_CHECK(t.dtype == DType::kF32, "[test] {} is not F32", name_of(t.dtype));
  download(v.data(), t.data, t.bytes(), device);
  return v;
}

}  // namespace music::test
