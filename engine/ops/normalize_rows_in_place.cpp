#include "engine/ops/normalize_rows_in_place.h"

#include <algorithm>

#include "engine/ops/function_kernel.h"
#include "engine/ops/l2_normalize.h"

namespace music {

Value normalize_rows_in_place(Graph& graph, Value parameter) {
  const ValueInfo w = graph.info(parameter);
  MUSIC_CHECK(w.storage == Storage::kParameter && w.dtype == DType::kF32 &&
                  w.shape.rank() == 2,
              "[normalize_rows_in_place] {} {} {}, expected a parameter [M,D] "
              "in F32", w.name, name_of(w.dtype), w.shape.str());
  for (const Node& n : graph.nodes())
    MUSIC_CHECK(std::find(n.inputs.begin(), n.inputs.end(), parameter) ==
                    n.inputs.end(),
                "[normalize_rows_in_place] {} was read by {} before: expected "
                "at the start of the step", w.name, n.op);
  Node node;
  node.op = "normalize_rows_in_place";
  node.inputs = {parameter};
  node.updates = {0};
  node.stops_gradient = true;
  node.make = [](const KernelRequest& r) {
    // l2_normalize, whose result may lie on its input.
    KernelRequest onto = r;
    onto.out = {r.in[0], r.out[0]};
    auto kernel = MUSIC_MAKE(make_l2_normalize_forward, onto, 1e-12f);
    const std::size_t workspace = kernel->workspace_bytes();
    return function_kernel(
        workspace, [kernel = std::move(kernel)](const KernelArgs& a) {
          const Tensor out[] = {a.in[0], a.out[0]};
          kernel->run({a.in, out, a.workspace, a.stream});
        });
  };
  return graph.add1(std::move(node), Shape{w.shape[0]});
}

}  // namespace music
