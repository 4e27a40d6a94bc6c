#include "engine/ops/conv2d_norm.h"

#include "engine/ops/product_work.h"

namespace music {

Value conv2d_norm(Graph& graph, Value x, Value w, Conv2dSpec conv, Value gamma,
                  Value beta, Value running_mean, Value running_var,
                  Value residual, bool relu) {
  const Shape xs = graph.shape(x), ws = graph.shape(w);
  const bool padded = xs.rank() == 4 && xs[3] == 4 && ws[3] == 3;
  MUSIC_CHECK(xs.rank() == 4 && ws.rank() == 4 && (xs[3] == ws[3] || padded) &&
                  conv.stride >= 1 && conv.pad >= 0 &&
                  xs[1] + 2 * conv.pad >= ws[1] && xs[2] + 2 * conv.pad >= ws[2],
              "[conv2d_norm] input {}, weight {}, stride {}, pad {}", xs.str(),
              ws.str(), conv.stride, conv.pad);
  const auto out = [&](int axis) {
    return (xs[axis] + 2 * conv.pad - ws[axis]) / conv.stride + 1;
  };
  const Shape ys{xs[0], out(1), out(2), ws[0]};
  for (const Value v : {gamma, beta, running_mean, running_var})
    MUSIC_CHECK(graph.shape(v) == Shape{ws[0]},
                "[conv2d_norm] {} of {} channels, expected {}",
                graph.info(v).name, graph.shape(v).str(), ws[0]);
  MUSIC_CHECK(!residual || graph.shape(residual) == ys,
              "[conv2d_norm] residual {} on output {}",
              residual ? graph.shape(residual).str() : "", ys.str());
  const Conv2dNormSpec spec{.conv = conv, .relu = relu,
                            .residual = bool(residual)};
  Node node;
  node.op = "conv2d_norm";
  node.inputs = {x, w, gamma, beta, running_mean, running_var};
  if (residual) {
    node.inputs.push_back(residual);
    // Elsewhere the convolution writes y before the residual is read.
    if (graph.parameters().storage().device == Device::kCpu) node.in_place = {6};
  }
  node.make = [spec](const KernelRequest& r) {
    return MUSIC_MAKE(make_conv2d_norm, r, spec);
  };
  node.work = [](const Graph& g, const Node& n) {
    return product_work(g, n, n.outputs[0], n.inputs[1]);
  };
  return graph.add1(std::move(node), ys, graph.info(x).dtype);
}

}  // namespace music
