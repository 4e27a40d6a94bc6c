#include "dist/sum_over_ranks.h"

#include "engine/ops/function_kernel.h"

namespace music::dist {

Value sum_over_ranks(Graph& graph, Value x, Communicator& communicator) {
  Node node;
  node.op = "sum_over_ranks";
  node.inputs = {x};
  node.in_place = {0};
  node.make = [&communicator](const KernelRequest&) {
    return function_kernel([&communicator](const KernelArgs& a) {
      communicator.run(Collective::all_reduce(a.in[0], a.out[0]), a.stream);
    });
  };
  node.backward = [&communicator](Graph& g, const Node&,
                                  const std::vector<GradientParts>& dy) {
    return std::vector<Value>{sum_over_ranks(g, g.sum(dy[0]), communicator)};
  };
  return graph.add1(std::move(node), graph.shape(x), graph.info(x).dtype);
}

StatisticsHook over_ranks(Communicator* communicator) {
  if (!communicator || communicator->size() == 1) return nullptr;
  return [communicator](Graph& graph, Value statistics) {
    return sum_over_ranks(graph, statistics, *communicator);
  };
}

}  // namespace music::dist
