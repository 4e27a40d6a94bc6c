#include "engine/ops/push_rows.h"

namespace music {

Value push_rows(Graph& graph, Value queue, Value position, Value rows) {
  const ValueInfo q = graph.info(queue), p = graph.info(position),
                  x = graph.info(rows);
  MUSIC_CHECK(q.storage == Storage::kBuffer && p.storage == Storage::kBuffer &&
                  p.shape == Shape{1},
              "[push_rows] queue {} and position {}, expected buffers [K,D] and "
              "[1]", q.shape.str(), p.shape.str());
  MUSIC_CHECK(q.shape.rank() == 2 && x.shape.rank() == 2 &&
                  q.shape[1] == x.shape[1] && x.dtype == DType::kF32,
              "[push_rows] rows {} {} for queue {}, expected F32 [m,D] and "
              "[K,D]", name_of(x.dtype), x.shape.str(), q.shape.str());
  MUSIC_CHECK(x.shape[0] > 0 && q.shape[0] % x.shape[0] == 0,
              "[push_rows] {} rows for a queue of {}, expected a queue that is a "
              "multiple of the rows", x.shape[0], q.shape[0]);
  constexpr std::int64_t kExact = 1 << 24;  // integers that F32 counts
  MUSIC_CHECK(q.shape[0] <= kExact, "[push_rows] queue of {} rows, expected at "
              "most {}", q.shape[0], kExact);
  Node node;
  node.op = "push_rows";
  node.inputs = {queue, position, rows};
  node.stops_gradient = true;
  node.make = [](const KernelRequest& r) { return MUSIC_MAKE(make_push_rows, r); };
  return graph.add1(std::move(node), Shape{1});
}

}  // namespace music
