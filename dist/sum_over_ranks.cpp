#include "dist/sum_over_ranks.h"

#include "engine/ops/function_kernel.h"

namespace music::dist {

Value sum_over_ranks(Graph& graph, Value x, Communicator& communicator,
                     Timetable::Account account) {
  if (communicator.size() == 1) return x;
  Node node;
  node.op = "sum_over_ranks";
  node.inputs = {x};
  node.in_place = {0};
  node.needs_no_rows = true;
  node.make = [&communicator](const KernelRequest&) {
    return function_kernel([&communicator](const KernelArgs& a) {
      communicator.run(Collective::all_reduce(a.in[0], a.out[0]), a.stream);
    });
  };
  node.backward = [&communicator, account](
                      Graph& g, const Node&,
                      const std::vector<GradientParts>& dy) {
    return std::vector<Value>{
        sum_over_ranks(g, g.sum(dy[0]), communicator, account)};
  };
  const Shape shape = graph.shape(x);
  const DType dtype = graph.info(x).dtype;
  node.exchanges = [account, bytes = static_cast<double>(shape.elements()) *
                                     static_cast<double>(size_of(dtype))](
                       Timetable& t) {
    t.charge(account);
    t.run(Collective::Kind::kAllReduce, bytes);
  };
  return graph.add1(std::move(node), shape, dtype);
}

StatisticsHook over_ranks(Communicator* communicator,
                          Timetable::Account account) {
  if (!communicator || communicator->size() == 1) return nullptr;
  return [communicator, account](Graph& graph, Value statistics) {
    return sum_over_ranks(graph, statistics, *communicator, account);
  };
}

}  // namespace music::dist
