#include "engine/ops/global_avg_pool.h"

namespace music {

Value global_avg_pool(Graph& graph, Value x) {
  const Shape xs = graph.shape(x);
  MUSIC_CHECK(xs.rank() == 4, "[global_avg_pool] input {}, expected [N,H,W,C]",
              xs.str());
  Node node;
  node.op = "global_avg_pool";
  node.inputs = {x};
  node.make = [](const KernelRequest& r) {
    return MUSIC_MAKE(make_global_avg_pool_forward, r);
  };
  node.backward = [](Graph& g, const Node& n, const std::vector<GradientParts>& dy) {
    Node back;
    back.op = "global_avg_pool_backward";
    back.inputs = {g.sum(dy[0])};
    back.make = [](const KernelRequest& r) {
      return MUSIC_MAKE(make_global_avg_pool_backward, r);
    };
    return std::vector<Value>{
        g.add1(std::move(back), g.shape(n.inputs[0]), g.info(n.inputs[0]).dtype)};
  };
  return graph.add1(std::move(node), Shape{xs[0], xs[3]}, graph.info(x).dtype);
}

}  // namespace music
