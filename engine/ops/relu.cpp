#include "engine/ops/relu.h"

namespace music {

Value relu(Graph& graph, Value x) {
  Node node;
  node.op = "relu";
  node.inputs = {x};
  node.in_place = {0};
  node.make = [](const KernelRequest& r) { return MUSIC_MAKE(make_relu_forward, r); };
  node.backward = [](Graph& g, const Node& n, const std::vector<GradientParts>& dy) {
    Node back;
    back.op = "relu_backward";
    back.inputs = {g.sum(dy[0]), n.outputs[0]};
    back.in_place = {0};
    back.make = [](const KernelRequest& r) { return MUSIC_MAKE(make_relu_backward, r); };
    return std::vector<Value>{
        g.add1(std::move(back), g.shape(n.inputs[0]), g.info(n.inputs[0]).dtype)};
  };
  return graph.add1(std::move(node), graph.shape(x), graph.info(x).dtype);
}

}  // namespace music
