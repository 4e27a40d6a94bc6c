#include "engine/ops/column_deviation.h"

#include "engine/ops/batch_norm.h"

namespace music {

Value column_deviation(Graph& graph, Value x, const StatisticsHook& combine) {
  const Shape xs = graph.shape(x);
  MUSIC_CHECK(xs.rank() == 2, "[column_deviation] input {}, expected [M,D]",
              xs.str());
  Node statistics;
  statistics.op = "batch_norm_statistics";
  statistics.inputs = {x};
  statistics.stops_gradient = true;
  statistics.make = [](const KernelRequest& r) {
    return MUSIC_MAKE(make_batch_norm_statistics, r, BatchNormForm{});
  };
  Value sums = graph.add1(std::move(statistics), Shape{1, 2 * xs[1] + 1},
                          DType::kF64);
  if (combine) sums = combine(graph, sums);
  Node node;
  node.op = "column_deviation";
  node.inputs = {sums};
  node.make = [](const KernelRequest& r) {
    return MUSIC_MAKE(make_column_deviation, r);
  };
  return graph.add1(std::move(node), Shape{xs[1]});
}

}  // namespace music
