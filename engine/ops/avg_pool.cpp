#include "engine/ops/avg_pool.h"

namespace music {

AvgPoolSpec AvgPoolSpec::windows(const Shape& x, int size, int stride) {
  MUSIC_CHECK(x.rank() == 4 && size >= 1 && stride >= 1 && x[1] >= size &&
                  x[2] >= size,
              "[avg_pool] input {} with windows of {}, stride {}", x.str(), size,
              stride);
  const auto axis = [&](std::int64_t n) {
    return Axis{size, stride, static_cast<int>((n - size) / stride + 1)};
  };
  return {axis(x[1]), axis(x[2])};
}

AvgPoolSpec AvgPoolSpec::two(const Shape& x) {
  MUSIC_CHECK(x.rank() == 4 && x[1] >= 1 && x[2] >= 1,
              "[avg_pool] input {}, expected [N,H,W,C]", x.str());
  const auto axis = [](std::int64_t n) {
    return Axis{static_cast<int>((n + 1) / 2), static_cast<int>(n / 2), 2};
  };
  return {axis(x[1]), axis(x[2])};
}

Value avg_pool(Graph& graph, Value x, AvgPoolSpec spec) {
  const Shape xs = graph.shape(x);
  MUSIC_CHECK(xs.rank() == 4, "[avg_pool] input {}, expected [N,H,W,C]",
              xs.str());
  const auto fits = [](const AvgPoolSpec::Axis& a, std::int64_t n) {
    return a.size >= 1 && a.stride >= 0 && a.count >= 1 &&
           std::int64_t{a.count - 1} * a.stride + a.size <= n;
  };
  MUSIC_CHECK(fits(spec.rows, xs[1]) && fits(spec.columns, xs[2]),
              "[avg_pool] input {} with {} x {} windows of {} x {}, strides {} "
              "and {}", xs.str(), spec.rows.count, spec.columns.count,
              spec.rows.size, spec.columns.size, spec.rows.stride,
              spec.columns.stride);
  Node node;
  node.op = "avg_pool";
  node.inputs = {x};
  node.make = [spec](const KernelRequest& r) {
    return MUSIC_MAKE(make_avg_pool_forward, r, spec);
  };
  node.backward = [spec](Graph& g, const Node& n,
                         const std::vector<GradientParts>& dy) {
    Node back;
    back.op = "avg_pool_backward";
    back.inputs = {g.sum(dy[0])};
    back.make = [spec](const KernelRequest& r) {
      return MUSIC_MAKE(make_avg_pool_backward, r, spec);
    };
    return std::vector<Value>{
        g.add1(std::move(back), g.shape(n.inputs[0]), g.info(n.inputs[0]).dtype)};
  };
  return graph.add1(std::move(node),
                    Shape{xs[0], spec.rows.count, spec.columns.count, xs[3]},
                    graph.info(x).dtype);
}

}  // namespace music
