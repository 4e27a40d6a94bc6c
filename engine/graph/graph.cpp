#include "engine/graph/graph.h"

namespace music {

// engine/ops/add.h; declared here because ops stand above the graph.
Value add(Graph& graph, Value a, Value b);

Value Graph::push(ValueInfo info) {
  values_.push_back(std::move(info));
  return Value{static_cast<int>(values_.size()) - 1};
}

Value Graph::input(const std::string& name, const Shape& shape, DType dtype) {
  ValueInfo v;
  v.shape = shape, v.dtype = dtype, v.storage = Storage::kInput, v.name = name;
  return push(std::move(v));
}

Value Graph::constant(const Shape& shape, double value) {
  ValueInfo v;
  v.shape = shape, v.storage = Storage::kConstant, v.constant = value;
  v.name = fmt::format("{}", value);
  return push(std::move(v));
}

Value Graph::stored(Storage storage, int index, DType dtype,
                    const ParameterInfo& p) {
  for (std::size_t i = 0; i < values_.size(); ++i)
    if (values_[i].storage == storage && values_[i].slot == index &&
        values_[i].dtype == dtype)
      return Value{static_cast<int>(i)};
  ValueInfo v;
  v.shape = p.shape, v.dtype = dtype, v.storage = storage, v.slot = index;
  v.needs_gradient = storage == Storage::kParameter && !p.frozen;
  v.name = p.name;
  return push(std::move(v));
}

Value Graph::parameter(int index, DType dtype) {
  return stored(Storage::kParameter, index, dtype,
                parameters_->table()[static_cast<std::size_t>(index)]);
}

Value Graph::target(int index, DType dtype) {
  return stored(Storage::kTarget, index, dtype,
                parameters_->table()[static_cast<std::size_t>(index)]);
}

Value Graph::buffer(int index) {
  return stored(Storage::kBuffer, index, DType::kF32,
                parameters_->buffers()[static_cast<std::size_t>(index)]);
}

std::vector<Value> Graph::add(Node node, std::span<const OutputSpec> outputs) {
  bool needs_gradient = false;
  for (Value v : node.inputs) needs_gradient |= info(v).needs_gradient;
  node.scope = scope_;
  node.in_place.resize(outputs.size(), -1);
  for (const auto& o : outputs) {
    ValueInfo v;
    v.shape = o.shape, v.dtype = o.dtype;
    v.needs_gradient = needs_gradient && !node.stops_gradient;
    v.name = fmt::format("{}{}{}.{}", scope_, scope_.empty() ? "" : ".",
                         node.op, node.outputs.size());
    node.outputs.push_back(push(std::move(v)));
  }
  nodes_.push_back(std::move(node));
  return nodes_.back().outputs;
}

Value Graph::add1(Node node, const Shape& shape, DType dtype) {
  const OutputSpec out{shape, dtype};
  return add(std::move(node), {&out, 1})[0];
}

Value Graph::sum(const GradientParts& parts) {
  MUSIC_CHECK(!parts.empty(), "[graph] sum of no values");
  Value total = parts[0];
  for (std::size_t i = 1; i < parts.size(); ++i)
    total = music::add(*this, total, parts[i]);
  return total;
}

ValueInfo& Graph::info(Value v) {
  MUSIC_CHECK(v.id >= 0 && v.id < static_cast<int>(values_.size()),
              "[graph] value {} of {}", v.id, values_.size());
  return values_[static_cast<std::size_t>(v.id)];
}
const ValueInfo& Graph::info(Value v) const {
  return const_cast<Graph*>(this)->info(v);
}

NodeWork traffic(const Graph& graph, const Node& node) {
  NodeWork work;
  for (const auto* list : {&node.inputs, &node.outputs})
    for (Value v : *list)
      work.bytes += static_cast<double>(graph.shape(v).elements()) *
                    static_cast<double>(size_of(graph.info(v).dtype));
  return work;
}

KernelRequest request_for(const Graph& graph, const Node& node, Device device) {
  KernelRequest request;
  request.device = device;
  for (Value v : node.inputs) request.in.push_back(graph.info(v));
  for (Value v : node.outputs) request.out.push_back(graph.info(v));
  return request;
}

Graph::Scope::Scope(Graph& g, const std::string& name)
    : graph_(g), length_(g.scope_.size()) {
  g.scope_ += (g.scope_.empty() ? "" : ".") + name;
}
Graph::Scope::~Scope() { graph_.scope_.resize(length_); }

}  // namespace music
