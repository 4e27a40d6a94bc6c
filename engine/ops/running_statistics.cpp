#include "engine/ops/running_statistics.h"

namespace music {

Value running_statistics(Graph& graph, Value stats, Value running_mean,
                         Value running_var, double momentum) {
  const ValueInfo s = graph.info(stats);
  for (const Value v : {running_mean, running_var})
    MUSIC_CHECK(graph.info(v).storage == Storage::kBuffer &&
                    s.dtype == DType::kF64 && s.shape.rank() == 2 &&
                    s.shape[1] == 2 * graph.shape(v).elements() + 1,
                "[running_statistics] statistics {} {} of running ones {}, "
                "expected F64 [groups,2C+1] and buffers [C]", name_of(s.dtype),
                s.shape.str(), graph.shape(v).str());
  Node node;
  node.op = "running_statistics";
  node.inputs = {stats, running_mean, running_var};
  node.stops_gradient = true;
  node.make = [momentum](const KernelRequest& r) {
    return MUSIC_MAKE(make_running_statistics, r, momentum);
  };
  return graph.add1(std::move(node), Shape{1});
}

}  // namespace music
