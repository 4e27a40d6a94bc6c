#include "engine/ops/reduce.h"

namespace music {

Value reduce(Graph& graph, Value x, ReduceKind kind) {
  Node node;
  node.op = "reduce";
  node.inputs = {x};
  node.make = [kind](const KernelRequest& r) {
    return MUSIC_MAKE(make_reduce_forward, r, kind);
  };
  node.backward = [kind](Graph& g, const Node& n,
                         const std::vector<GradientParts>& dy) {
    Node back;
    back.op = "reduce_backward";
    back.inputs = {g.sum(dy[0])};
    back.make = [kind](const KernelRequest& r) {
      return MUSIC_MAKE(make_reduce_backward, r, kind);
    };
    const ValueInfo x = g.info(n.inputs[0]);
    return std::vector<Value>{g.add1(std::move(back), x.shape, x.dtype)};
  };
  return graph.add1(std::move(node), Shape{1});
}

}  // namespace music
