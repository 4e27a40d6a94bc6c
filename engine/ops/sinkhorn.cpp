#include "engine/ops/sinkhorn.h"

namespace music {

Value sinkhorn(Graph& graph, Value scores, double epsilon, int iterations,
               const StatisticsHook& combine) {
  const Shape ss = graph.shape(scores);
  MUSIC_CHECK(ss.rank() == 2 && graph.info(scores).dtype == DType::kF32,
              "[sinkhorn] scores {} {}, expected F32 [B,K]",
              name_of(graph.info(scores).dtype), ss.str());
  MUSIC_CHECK(epsilon > 0 && iterations >= 1,
              "[sinkhorn] epsilon {} and {} iterations, expected above 0 and 1 "
              "or more", epsilon, iterations);
  Node start;
  start.op = "sinkhorn_exponentials";
  start.inputs = {scores};
  start.in_place = {0};
  start.stops_gradient = true;
  start.make = [epsilon](const KernelRequest& r) {
    return MUSIC_MAKE(make_sinkhorn_exponentials, r, epsilon);
  };
  Value q = graph.add1(std::move(start), ss);
  for (int i = 0; i < iterations; ++i) {
    Node columns;
    columns.op = "sinkhorn_columns";
    columns.inputs = {q};
    columns.make = [](const KernelRequest& r) {
      return MUSIC_MAKE(make_sinkhorn_columns, r);
    };
    Value sums = graph.add1(std::move(columns), Shape{ss[1]}, DType::kF64);
    if (combine) sums = combine(graph, sums);
    Node rows;
    rows.op = "sinkhorn_rows";
    rows.inputs = {q, sums};
    rows.in_place = {0};
    rows.make = [](const KernelRequest& r) {
      return MUSIC_MAKE(make_sinkhorn_rows, r);
    };
    q = graph.add1(std::move(rows), ss);
  }
  return q;
}

}  // namespace music
