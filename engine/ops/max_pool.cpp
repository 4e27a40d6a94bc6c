#include "engine/ops/max_pool.h"

namespace music {

Value max_pool(Graph& graph, Value x, MaxPoolSpec spec) {
  const Shape xs = graph.shape(x);
  MUSIC_CHECK(xs.rank() == 4, "[max_pool] input {}, expected [N,H,W,C]", xs.str());
  MUSIC_CHECK(spec.size >= 1 && spec.size <= 15 && spec.stride >= 1 &&
                  2 * spec.pad <= spec.size,
              "[max_pool] size {}, stride {}, pad {}", spec.size, spec.stride,
              spec.pad);
  const auto out = [&](std::int64_t n) {
    MUSIC_CHECK(n + 2 * spec.pad >= spec.size,
                "[max_pool] input {} is smaller than the window {}", xs.str(),
                spec.size);
    return (n + 2 * spec.pad - spec.size) / spec.stride + 1;
  };
  const Shape ys{xs[0], out(xs[1]), out(xs[2]), xs[3]};
  Node node;
  node.op = "max_pool";
  node.inputs = {x};
  node.make = [spec](const KernelRequest& r) {
    return MUSIC_MAKE(make_max_pool_forward, r, spec);
  };
  node.backward = [spec](Graph& g, const Node& n,
                         const std::vector<GradientParts>& dy) {
    Node back;
    back.op = "max_pool_backward";
    back.inputs = {g.sum(dy[0]), n.outputs[1]};
    back.make = [spec](const KernelRequest& r) {
      return MUSIC_MAKE(make_max_pool_backward, r, spec);
    };
    return std::vector<Value>{
        g.add1(std::move(back), g.shape(n.inputs[0]), g.info(n.inputs[0]).dtype)};
  };
  const OutputSpec outs[] = {{ys, graph.info(x).dtype}, {ys, DType::kU8}};
  return graph.add(std::move(node), outs)[0];
}

}  // namespace music
