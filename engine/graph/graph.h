#pragma once
// The recorded computation. A model is built once as a list of nodes in
// execution order; gradients are nodes appended by backward() (autograd.h); the
// planner gives values memory; an Executable runs prepared kernels in order.
//
// A Value is an index into the graph that made it.

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/core/device.h"
#include "engine/core/tensor.h"
#include "engine/graph/parameters.h"

namespace music {

namespace dist {
class Timetable;  // dist/timetable.h
}

struct Value {
  int id = -1;
  explicit operator bool() const { return id >= 0; }
  bool operator==(const Value&) const = default;
};

// Where a value's bytes live.
enum class Storage {
  kPlanned,    // in the activation arena, offset by the planner
  kInput,      // memory the caller binds before each run
  kConstant,   // filled once when the executable is made
  kParameter,  // slot = parameter index; written by nodes that update it
  kTarget,     // slot = parameter index, in the target network
  kGradient,   // slot = parameter index
  kBuffer,     // slot = buffer index; nodes may write it in place
};

struct ValueInfo {
  Shape shape;
  DType dtype = DType::kF32;
  Storage storage = Storage::kPlanned;
  int slot = -1;
  bool needs_gradient = false;
  bool keep = false;         // readable after a run: never re-used
  double constant = 0;       // kConstant: the value of every element
  std::string name;
};

// What a kernel is given at plan time: shapes and dtypes, no pointers.
struct KernelRequest {
  Device device = Device::kCpu;
  std::vector<ValueInfo> in, out;
};

// What it is given in the step. Tensors have fixed addresses between runs
// except inputs the caller rebinds.
struct KernelArgs {
  std::span<const Tensor> in, out;
  void* workspace = nullptr;
  void* stream = nullptr;  // device stream; null on the CPU
};

// Prepared once (descriptors, algorithm, workspace); run() allocates nothing.
class Kernel {
 public:
  virtual ~Kernel() = default;
  virtual std::size_t workspace_bytes() const { return 0; }
  virtual void run(const KernelArgs& args) = 0;
};

class Graph;
struct Node;

// Arithmetic and memory traffic of a node on one process.
struct NodeWork {
  double flops = 0, bytes = 0;
};

// Gradients that reached one output of a node: none, or parts to be summed.
using GradientParts = std::vector<Value>;

struct Node {
  std::string op;     // "conv2d"
  std::vector<Value> inputs, outputs;
  // Makes the kernel for the request's device.
  std::function<std::unique_ptr<Kernel>(const KernelRequest&)> make;
  // Appends gradient nodes; returns one gradient per input (invalid: none).
  // Null for nodes without a gradient; one that arrives there is an error,
  // unless the node says that it stops_gradient.
  std::function<std::vector<Value>(Graph&, const Node&,
                                   const std::vector<GradientParts>&)>
      backward;
  bool stops_gradient = false;
  // A process has no row of a batch with fewer samples than processes. Where a
  // tensor of the node then has no element, the node is not run and its other
  // outputs are zeros: sums over no samples. Unless it says that it needs_no_rows:
  // its kernel runs, as it has exchanges, or writes something that is no such sum.
  bool needs_no_rows = false;
  // Parameters, by input, that the kernel writes in place, for every node after
  // it to read; all other inputs but buffers are left as they are.
  std::vector<int> updates;
  // in_place[o] = i: output o may take the memory of input i when i dies here.
  std::vector<int> in_place;
  std::string scope;  // "layer1.0", for messages and profiles

  // What it costs, for plans of steps that are not run; null where that is the
  // usual.
  // Null: each of its tensors passes once; nothing, if it has exchanges.
  std::function<NodeWork(const Graph&, const Node&)> work;
  // Tells its exchanges with other processes, in their order. Null: none.
  std::function<void(dist::Timetable&)> exchanges;
  // Bytes of a kernel's workspace, without making it, which takes the device.
  // Null: of the few that any kernel may take.
  std::function<std::size_t(const KernelRequest&)> workspace;
  // Of the processes that share it, the one whose workspace is the largest.
  int largest_rank = 0;
};

struct OutputSpec {
  Shape shape;
  DType dtype = DType::kF32;
};

class Graph {
 public:
  explicit Graph(const Parameters& parameters) : parameters_(&parameters) {}
  Graph(Graph&&) = default;
  Graph(const Graph&) = delete;

  Value input(const std::string& name, const Shape& shape, DType dtype);
  Value constant(const Shape& shape, double value);
  // The same parameter or buffer gives the same value. dtype: F32, or the
  // type parameters are rounded to; the gradient is F32 in either case.
  Value parameter(int index, DType dtype = DType::kF32);
  Value buffer(int index);
  // The parameter as the target network has it; no gradient goes there.
  Value target(int index, DType dtype = DType::kF32);

  // Appends a node; makes its outputs. needs_gradient is inherited from inputs
  // unless the node stops it.
  std::vector<Value> add(Node node, std::span<const OutputSpec> outputs);
  Value add1(Node node, const Shape& shape, DType dtype = DType::kF32);

  // One value that is the sum of the parts (adds nodes when there are several).
  Value sum(const GradientParts& parts);
  // Marks a value readable after each run.
  void keep(Value v) { info(v).keep = true; }

  ValueInfo& info(Value v);
  const ValueInfo& info(Value v) const;
  const Shape& shape(Value v) const { return info(v).shape; }
  bool needs_gradient(Value v) const { return info(v).needs_gradient; }
  const std::vector<Node>& nodes() const { return nodes_; }
  const std::vector<ValueInfo>& values() const { return values_; }
  const Parameters& parameters() const { return *parameters_; }
  // What it will run on.
  Device device() const { return parameters_->device(); }

  // Names nodes recorded while it lives: "layer1.0" + "." + "conv2".
  class Scope {
   public:
    Scope(Graph& g, const std::string& name);
    ~Scope();
   private:
    Graph& graph_;
    std::size_t length_;
  };

 private:
  Value push(ValueInfo info);
  // The value of this place, made where there is none yet.
  Value stored(Storage storage, int index, DType dtype,
               const ParameterInfo& p);

  const Parameters* parameters_;
  std::vector<Node> nodes_;
  std::vector<ValueInfo> values_;
  std::string scope_;
};

// Each tensor of the node passes once.
NodeWork traffic(const Graph& graph, const Node& node);
// What its kernel is asked for.
KernelRequest request_for(const Graph& graph, const Node& node, Device device);

}  // namespace music
