#include "engine/ops/roi_align.h"

#include "engine/ops/roi_align_weights.h"

namespace music {

Value roi_align(Graph& graph, Value x, Value rois, RoiAlignSpec spec) {
  const Shape xs = graph.shape(x), rs = graph.shape(rois);
  MUSIC_CHECK(xs.rank() == 4, "[roi_align] input {}, expected [N,H,W,C]",
              xs.str());
  MUSIC_CHECK(rs.rank() == 2 && rs[1] == 5 &&
                  graph.info(rois).dtype == DType::kF32,
              "[roi_align] boxes {} of {}, expected [R,5] of F32", rs.str(),
              name_of(graph.info(rois).dtype));
  MUSIC_CHECK(spec.size >= 1 && spec.scale > 0,
              "[roi_align] size {}, scale {}, expected both above 0", spec.size,
              spec.scale);
  const std::size_t table =
      roi_table_bytes(roi_table(xs, rs[0], spec.size));
  Node node;
  node.op = "roi_align";
  node.inputs = {x, rois};
  node.make = [spec](const KernelRequest& r) {
    return MUSIC_MAKE(make_roi_align_forward, r, spec);
  };
  node.workspace = [table](const KernelRequest&) { return table; };
  node.backward = [spec, table](Graph& g, const Node& n,
                                const std::vector<GradientParts>& dy) {
    Node back;
    back.op = "roi_align_backward";
    back.inputs = {g.sum(dy[0]), n.inputs[1]};
    back.make = [spec](const KernelRequest& r) {
      return MUSIC_MAKE(make_roi_align_backward, r, spec);
    };
    back.workspace = [table](const KernelRequest&) { return table; };
    return std::vector<Value>{
        g.add1(std::move(back), g.shape(n.inputs[0]), g.info(n.inputs[0]).dtype),
        {}};
  };
  return graph.add1(std::move(node), {rs[0], spec.size, spec.size, xs[3]},
                    graph.info(x).dtype);
}

}  // namespace music
