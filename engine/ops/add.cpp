#include "engine/ops/add.h"

namespace music {

Value add(Graph& graph, Value a, Value b) {
  MUSIC_CHECK(graph.shape(a) == graph.shape(b), "[add] shapes {} and {} differ",
              graph.shape(a).str(), graph.shape(b).str());
  Node node;
  node.op = "add";
  node.inputs = {a, b};
  node.in_place = {0};
  node.make = [](const KernelRequest& r) { return MUSIC_MAKE(make_add, r); };
  node.backward = [](Graph& g, const Node&, const std::vector<GradientParts>& dy) {
    const Value d = g.sum(dy[0]);
    return std::vector<Value>{d, d};
  };
  return graph.add1(std::move(node), graph.shape(a), graph.info(a).dtype);
}

}  // namespace music
