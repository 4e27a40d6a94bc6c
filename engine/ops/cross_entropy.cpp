#include "engine/ops/cross_entropy.h"

#include "engine/ops/scale.h"

namespace music {

Value cross_entropy(Graph& graph, Value logits, Value labels,
                    Value* correct) {
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
    MUSIC_CHECK(dy.size() == 2 || dy[2].empty(), "[cross_entropy] a gradient "
                "reached the count of correct rows, which has none");
    return std::vector<Value>{scale(g, n.outputs[1], g.sum(dy[0])), Value{}};
  };
  std::vector<OutputSpec> outs = {{Shape{1}}, {ls}};
  if (correct) outs.push_back({Shape{1}});
  const auto out = graph.add(std::move(node), outs);
  if (correct) *correct = out[2];
  return out[0];
}

}  // namespace music
