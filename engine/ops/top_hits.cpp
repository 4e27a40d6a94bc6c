#include "engine/ops/top_hits.h"

namespace music {

Value top_hits(Graph& graph, Value logits, Value labels, int k) {
  const Shape ls = graph.shape(logits);
  MUSIC_CHECK(ls.rank() == 2 && graph.shape(labels) == Shape{ls[0]} &&
                  graph.info(labels).dtype == DType::kI32 && k >= 1,
              "[top_hits] logits {} with labels {} {}: expected [M,K] and I32 "
              "[M]", ls.str(), name_of(graph.info(labels).dtype),
              graph.shape(labels).str());
  Node node;
  node.op = "top_hits";
  node.inputs = {logits, labels};
  node.stops_gradient = true;
  node.make = [k](const KernelRequest& r) {
    return MUSIC_MAKE(make_top_hits, r, k);
  };
  return graph.add1(std::move(node), Shape{1});
}

}  // namespace music
