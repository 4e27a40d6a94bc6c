#include "engine/ops/scale.h"

namespace music {

Value scale(Graph& graph, Value x, Value s) {
  MUSIC_CHECK(graph.shape(s).elements() == 1, "[scale] factor has shape {}",
              graph.shape(s).str());
  Node node;
  node.op = "scale";
  node.inputs = {x, s};
  node.in_place = {0};
  node.make = [](const KernelRequest& r) { return MUSIC_MAKE(make_scale, r); };
  node.backward = [](Graph& g, const Node& n,
                     const std::vector<GradientParts>& dy) {
    MUSIC_CHECK(!g.needs_gradient(n.inputs[1]),
                "[scale] the factor depends on parameters: expected one "
                "without a gradient");
    return std::vector<Value>{scale(g, g.sum(dy[0]), n.inputs[1]), Value{}};
  };
  return graph.add1(std::move(node), graph.shape(x), graph.info(x).dtype);
}

}  // namespace music
