#include "engine/ops/conv2d.h"

#include "engine/ops/product_work.h"

namespace music {
namespace {

NodeWork forward_work(const Graph& g, const Node& n) {
  NodeWork work = product_work(g, n, n.outputs[0], n.inputs[1]);
  const Shape &x = g.shape(n.inputs[0]), &y = g.shape(n.outputs[0]);
  // A 1x1 convolution of stride 2 reads a quarter of its input.
  if (g.shape(n.inputs[1])[1] == 1)
    work.bytes -= static_cast<double>(x.elements()) *
                  static_cast<double>(size_of(g.info(n.inputs[0]).dtype)) *
                  (1 - static_cast<double>(y[1] * y[2]) /
                           static_cast<double>(x[1] * x[2]));
  return work;
}

}  // namespace

Value conv2d(Graph& graph, Value x, Value w, Conv2dSpec spec) {
  const Shape xs = graph.shape(x), ws = graph.shape(w);
  MUSIC_CHECK(xs.rank() == 4 && ws.rank() == 4 &&
                  (xs[3] == ws[3] || (xs[3] == 4 && ws[3] == 3)),
              "[conv2d] input {} and weight {} do not fit: expected [N,H,W,C] "
              "and [K,R,S,C]", xs.str(), ws.str());
  MUSIC_CHECK(spec.stride >= 1 && spec.pad >= 0, "[conv2d] stride {}, pad {}",
              spec.stride, spec.pad);
  const auto out = [&](std::int64_t size, std::int64_t kernel) {
    const std::int64_t span = size + 2 * spec.pad - kernel;
    MUSIC_CHECK(span >= 0, "[conv2d] input {} is smaller than weight {}",
                xs.str(), ws.str());
    return span / spec.stride + 1;
  };
  Node node;
  node.op = "conv2d";
  node.inputs = {x, w};
  node.make = [spec](const KernelRequest& r) {
    return MUSIC_MAKE(make_conv2d_forward, r, spec);
  };
  node.work = forward_work;
  node.backward = [spec](Graph& g, const Node& n,
                         const std::vector<GradientParts>& parts) {
    const Value x = n.inputs[0], w = n.inputs[1], dy = g.sum(parts[0]);
    std::vector<Value> result(2);
    if (g.needs_gradient(w)) {
      Node back;
      back.op = "conv2d_backward_weights";
      back.inputs = {x, dy};
      back.make = [spec](const KernelRequest& r) {
        return MUSIC_MAKE(make_conv2d_backward_weights, r, spec);
      };
      back.work = [](const Graph& g, const Node& n) {
        return product_work(g, n, n.inputs[1], n.outputs[0]);
      };
      result[1] = g.add1(std::move(back), g.shape(w));
    }
    if (g.needs_gradient(x)) {
      Node back;
      back.op = "conv2d_backward_data";
      back.inputs = {dy, w};
      back.make = [spec](const KernelRequest& r) {
        return MUSIC_MAKE(make_conv2d_backward_data, r, spec);
      };
      back.work = [](const Graph& g, const Node& n) {
        return product_work(g, n, n.inputs[0], n.inputs[1]);
      };
      result[0] = g.add1(std::move(back), g.shape(x), g.info(x).dtype);
    }
    return result;
  };
  return graph.add1(std::move(node), Shape{xs[0], out(xs[1], ws[1]),
                                           out(xs[2], ws[2]), ws[0]},
                    graph.info(x).dtype);
}

}  // namespace music
