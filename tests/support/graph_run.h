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
// inputs must be as they were (buffers may be updated in place). Parameters
// are copied, so their blocks stay untouched. CPU only.
class GuardedRun {
 public:
  GuardedRun(Graph graph, const Parameters& parameters,
             const std::map<int, const void*>& inputs)
      : graph_(std::move(graph)) {
    for (std::size_t i = 0; i < graph_.values().size(); ++i) {
      const ValueInfo& v = graph_.values()[i];
      Tensor t{nullptr, v.shape, v.dtype};
      Block& block = blocks_.emplace_back(t.bytes());
      t.data = block.body();
      tensors_.push_back(t);
      const auto copy = [&](const void* from) {
        std::memcpy(t.data, from, t.bytes());
      };
      switch (v.storage) {
        case Storage::kInput: copy(inputs.at(static_cast<int>(i))); break;
        case Storage::kConstant:
          std::fill_n(t.f32(), t.elements(), static_cast<float>(v.constant));
          break;
        case Storage::kParameter: copy(parameters.value(v.slot).data); break;
        case Storage::kBuffer: copy(parameters.buffer(v.slot).data); break;
        case Storage::kPlanned:
        case Storage::kGradient: break;
      }
    }
    for (const Node& node : graph_.nodes()) run(node);
  }

  // The first thing a kernel did that it must not; empty: none.
  const std::string& problem() const { return problem_; }
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
    explicit Block(std::size_t bytes)
        : bytes_(bytes), memory_(aligned(bytes) + 2 * kGuard) {
      std::memset(memory_.data(), kMark, memory_.bytes());
      std::memset(body(), 0xFF, bytes);
    }
    std::byte* body() const { return memory_.as<std::byte>() + kGuard; }
    std::size_t bytes() const { return bytes_; }
    bool intact() const {
      const auto* p = memory_.as<unsigned char>();
      const auto marked = [](unsigned char c) { return c == kMark; };
      return std::all_of(p, p + kGuard, marked) &&
             std::all_of(p + kGuard + bytes_, p + memory_.bytes(), marked);
    }

   private:
    static constexpr std::size_t kGuard = 4096;
    static constexpr unsigned char kMark = 0xA5;
    std::size_t bytes_;
    Buffer memory_;
  };

  void run(const Node& node) {
    KernelRequest request;
    std::vector<Tensor> in, out;
    std::vector<std::vector<std::byte>> before;
    for (Value v : node.inputs) {
      request.in.push_back(graph_.info(v));
      in.push_back(tensor(v));
      const auto* p = static_cast<const std::byte*>(in.back().data);
      before.emplace_back(p, p + in.back().bytes());
    }
    for (Value v : node.outputs) {
      request.out.push_back(graph_.info(v));
      out.push_back(tensor(v));
    }
    const auto kernel = node.make(request);
    const Block workspace(kernel->workspace_bytes());
    kernel->run({in, out, workspace.body(), nullptr});
    if (!problem_.empty()) return;
    for (std::size_t i = 0; i < in.size(); ++i)
      if (request.in[i].storage != Storage::kBuffer &&
          std::memcmp(before[i].data(), in[i].data, before[i].size()) != 0)
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

// An executable with memory of its own, for tests that run one graph. The
// arena starts as NaN.
struct BoundExecutable {
  Executable executable;
  Buffer arena, workspace;

  BoundExecutable(Graph graph, Parameters& parameters,
                  ExecutableOptions options = {})
      : executable(std::move(graph), parameters, options),
        arena(executable.arena_bytes()),
        workspace(executable.workspace_bytes()) {
    // Stale memory reads as NaN; an empty block has no address.
    for (const Buffer* block : {&arena, &workspace})
      if (block->bytes() > 0) std::memset(block->data(), 0xFF, block->bytes());
    executable.bind(arena.data(), workspace.data());
  }
  Executable* operator->() { return &executable; }
};

inline std::vector<float> floats(const Tensor& t) {
  const auto s = t.span<float>();
  return {s.begin(), s.end()};
}

}  // namespace music::test
