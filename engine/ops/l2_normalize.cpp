#include "engine/ops/l2_normalize.h"

namespace music {

Value l2_normalize(Graph& graph, Value x, double floor) {
  const Shape xs = graph.shape(x);
  MUSIC_CHECK(xs.rank() == 2 && graph.info(x).dtype == DType::kF32,
              "[l2_normalize] input {} {}, expected F32 [M,D]",
              name_of(graph.info(x).dtype), xs.str());
  const float least = static_cast<float>(floor);
  MUSIC_CHECK(least > 0, "[l2_normalize] floor {}, expected above 0", floor);
  Node node;
  node.op = "l2_normalize";
  node.inputs = {x};
  node.in_place = {0};
  node.make = [least](const KernelRequest& r) {
    return MUSIC_MAKE(make_l2_normalize_forward, r, least);
  };
  node.backward = [least](Graph& g, const Node& n,
                          const std::vector<GradientParts>& dy) {
    Node back;
    back.op = "l2_normalize_backward";
    back.inputs = {g.sum(dy[0]), n.outputs[0], n.outputs[1]};
    back.in_place = {0};
    back.make = [least](const KernelRequest& r) {
      return MUSIC_MAKE(make_l2_normalize_backward, r, least);
    };
    return std::vector<Value>{g.add1(std::move(back), g.shape(n.inputs[0]))};
  };
  const OutputSpec outs[] = {{xs}, {Shape{xs[0]}}};
  return graph.add(std::move(node), outs)[0];
}

}  // namespace music
