#include "engine/ops/inner.h"

#include "engine/ops/scale.h"

namespace music {
namespace {

void check(const Graph& graph, const char* op, Value a, Value b) {
  const ValueInfo &x = graph.info(a), &y = graph.info(b);
  MUSIC_CHECK(x.shape == y.shape && x.dtype == DType::kF32 &&
                  y.dtype == DType::kF32,
              "[{}] {} {} and {} {}, expected F32 of one shape", op,
              name_of(x.dtype), x.shape.str(), name_of(y.dtype), y.shape.str());
}

// The gradients d b and d a, where wanted; times(x) gives d x.
template <typename F>
std::vector<Value> gradients(Graph& g, const Node& n, F times) {
  const Value a = n.inputs[0], b = n.inputs[1];
  return {g.needs_gradient(a) ? times(b) : Value{},
          g.needs_gradient(b) ? times(a) : Value{}};
}

}  // namespace

Value inner(Graph& graph, Value a, Value b) {
  check(graph, "inner", a, b);
  Node node;
  node.op = "inner";
  node.inputs = {a, b};
  node.make = [](const KernelRequest& r) { return MUSIC_MAKE(make_inner, r); };
  node.backward = [](Graph& g, const Node& n,
                     const std::vector<GradientParts>& dy) {
    const Value d = g.sum(dy[0]);
    return gradients(g, n, [&](Value x) { return scale(g, x, d); });
  };
  return graph.add1(std::move(node), Shape{1});
}

Value row_inner(Graph& graph, Value a, Value b) {
  check(graph, "row_inner", a, b);
  const Shape shape = graph.shape(a);
  MUSIC_CHECK(shape.rank() == 2, "[row_inner] inputs {}, expected [M,D]",
              shape.str());
  Node node;
  node.op = "row_inner";
  node.inputs = {a, b};
  node.make = [](const KernelRequest& r) {
    return MUSIC_MAKE(make_row_inner_forward, r);
  };
  node.backward = [](Graph& g, const Node& n,
                     const std::vector<GradientParts>& dy) {
    const Value d = g.sum(dy[0]);
    return gradients(g, n, [&](Value x) {
      Node back;
      back.op = "row_inner_backward";
      back.inputs = {d, x};
      back.in_place = {1};
      back.make = [](const KernelRequest& r) {
        return MUSIC_MAKE(make_row_inner_backward, r);
      };
      return g.add1(std::move(back), g.shape(x));
    });
  };
  return graph.add1(std::move(node), Shape{shape[0]});
}

}  // namespace music
