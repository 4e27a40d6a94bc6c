#include "engine/ops/cross_entropy.h"

#include "engine/ops/scale.h"

namespace music {

Value cross_entropy(Graph& graph, Value logits, Value labels) {
  const Shape ls = graph.shape(logits);
  MUSIC_CHECK(ls.rank() == 2 && graph.shape(labels) == Shape{ls[0]} &&
                  graph.info(labels).dtype == DType::kI32,
              "[cross_entropy] logits {} with labels {} {}: expected [M,K] and "
              "I32 [M]", ls.str(), name_of(graph.info(labels).dtype),
              graph.shape(labels).str());
  Node node;
  node.op = "cross_entropy";
  node.inputs = {logits, labels};
  node.make = [](const KernelRequest& r) { return MUSIC_MAKE(make_cross_entropy, r); };
  node.backward = [](Graph& g, const Node& n, const std::vector<GradientParts>& dy) {
    return std::vector<Value>{scale(g, n.outputs[1], g.sum(dy[0])), Value{}};
  };
  const OutputSpec outs[] = {{Shape{1}}, {ls}};
  return graph.add(std::move(node), outs)[0];
}

}  // namespace music
