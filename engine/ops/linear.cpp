#include "engine/ops/linear.h"

#include "engine/ops/cast.h"
#include "engine/ops/product_work.h"

namespace music {

Value linear(Graph& graph, Value x, Value w, Value bias) {
  return linear(graph, x, w, bias, graph.info(x).dtype);
}

Value linear(Graph& graph, Value x, Value w, Value bias, DType result) {
  const Shape xs = graph.shape(x), ws = graph.shape(w);
  MUSIC_CHECK(xs.rank() == 2 && ws.rank() == 2 && xs[1] == ws[1],
              "[linear] input {} and weight {} do not fit: expected [M,I] and "
              "[O,I]", xs.str(), ws.str());
  MUSIC_CHECK(!bias || graph.shape(bias) == Shape{ws[0]},
              "[linear] bias {} with weight {}",
              bias ? graph.shape(bias).str() : "", ws.str());
  Node node;
  node.op = "linear";
  node.inputs = {x, w};
  if (bias) node.inputs.push_back(bias);
  node.make = [](const KernelRequest& r) { return MUSIC_MAKE(make_linear_forward, r); };
  node.work = [](const Graph& g, const Node& n) {
    return product_work(g, n, n.outputs[0], n.inputs[1]);
  };
  node.backward = [](Graph& g, const Node& n,
                     const std::vector<GradientParts>& parts) {
    const Value x = n.inputs[0], w = n.inputs[1];
    const DType dtype = g.info(x).dtype;
    const Value dy = cast(g, g.sum(parts[0]), dtype);
    std::vector<Value> result(n.inputs.size());
    const auto append = [&](const char* op, Value a, Value b, const Shape& shape,
                            auto make, auto work, DType to = DType::kF32) {
      Node back;
      back.op = op;
      back.inputs = {a};
      if (b) back.inputs.push_back(b);
      back.make = make;
      back.work = work;
      return g.add1(std::move(back), shape, to);
    };
    if (g.needs_gradient(w))
      result[1] = append("linear_backward_weights", x, dy, g.shape(w),
                         [](const KernelRequest& r) {
                           return MUSIC_MAKE(make_linear_backward_weights, r);
                         }, [](const Graph& graph, const Node& node) {
                           return product_work(graph, node, node.inputs[1],
                                               node.outputs[0]);
                         });
    if (n.inputs.size() == 3)
      result[2] = append("linear_backward_bias", dy, Value{},
                         g.shape(n.inputs[2]), [](const KernelRequest& r) {
                           return MUSIC_MAKE(make_linear_backward_bias, r);
                         }, nullptr);
    if (g.needs_gradient(x))
      result[0] = append("linear_backward_data", dy, w, g.shape(x),
                         [](const KernelRequest& r) {
                           return MUSIC_MAKE(make_linear_backward_data, r);
                         }, [](const Graph& graph, const Node& node) {
                           return product_work(graph, node, node.inputs[0],
                                               node.inputs[1]);
                         }, dtype);
    return result;
  };
  return graph.add1(std::move(node), Shape{xs[0], ws[0]}, result);
}

}  // namespace music
