#include "engine/ops/cast.h"

namespace music {

Value cast(Graph& graph, Value x, DType to) {
  const DType from = graph.info(x).dtype;
  if (from == to) return x;
  Node node;
  node.op = "cast";
  node.inputs = {x};
  node.make = [](const KernelRequest& r) { return MUSIC_MAKE(make_cast, r); };
  if (from != DType::kU8)
    node.backward = [from](Graph& g, const Node&,
                           const std::vector<GradientParts>& dy) {
      return std::vector<Value>{cast(g, g.sum(dy[0]), from)};
    };
  return graph.add1(std::move(node), graph.shape(x), to);
}

}  // namespace music
