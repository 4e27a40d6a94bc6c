#include "engine/ops/segment_softmax.h"

namespace music {

Value segment_softmax(Graph& graph, Value z, const SegmentSoftmaxSpec& spec) {
  const Shape zs = graph.shape(z);
  MUSIC_CHECK(zs.rank() == 2 && spec.begin.size() >= 2 &&
                  spec.begin.front() == 0 && spec.begin.back() == zs[1],
              "[segment_softmax] input {} with segments that end at {}",
              zs.str(), spec.begin.empty() ? 0 : spec.begin.back());
  for (std::size_t s = 1; s < spec.begin.size(); ++s)
    MUSIC_CHECK(spec.begin[s] > spec.begin[s - 1],
                "[segment_softmax] segment {} is empty", s - 1);
  MUSIC_CHECK(spec.temperature > 0, "[segment_softmax] temperature {}",
              spec.temperature);
  Node node;
  node.op = "segment_softmax";
  node.inputs = {z};
  node.in_place = {0};
  node.make = [spec](const KernelRequest& r) {
    return MUSIC_MAKE(make_segment_softmax_forward, r, spec);
  };
  node.backward = [spec](Graph& g, const Node& n,
                         const std::vector<GradientParts>& dq) {
    Node back;
    back.op = "segment_softmax_backward";
    back.inputs = {g.sum(dq[0]), n.outputs[0]};
    back.in_place = {0};
    back.make = [spec](const KernelRequest& r) {
      return MUSIC_MAKE(make_segment_softmax_backward, r, spec);
    };
    return std::vector<Value>{g.add1(std::move(back), g.shape(n.inputs[0]))};
  };
  return graph.add1(std::move(node), zs);
}

}  // namespace music
