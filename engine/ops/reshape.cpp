#include "engine/ops/reshape.h"

#include <cstring>

#include "engine/core/device_runtime.h"
#include "engine/ops/function_kernel.h"

namespace music {

Value reshape(Graph& graph, Value x, const Shape& shape) {
  MUSIC_CHECK(graph.shape(x).elements() == shape.elements(),
              "[reshape] {} to {}: expected as many elements",
              graph.shape(x).str(), shape.str());
  if (graph.shape(x) == shape) return x;
  Node node;
  node.op = "reshape";
  node.inputs = {x};
  node.in_place = {0};  // then nothing moves
  node.make = [](const KernelRequest& r) {
    const bool device = r.device == Device::kCuda;
    return function_kernel([device](const KernelArgs& a) {
      const Tensor &from = a.in[0], &to = a.out[0];
      if (from.data == to.data) return;
      if (device)
        cuda::copy(to.data, from.data, to.bytes(), a.stream);
      else
        std::memcpy(to.data, from.data, to.bytes());
    });
  };
  node.backward = [](Graph& g, const Node& n,
                     const std::vector<GradientParts>& parts) {
    return std::vector<Value>{
        reshape(g, g.sum(parts[0]), g.shape(n.inputs[0]))};
  };
  return graph.add1(std::move(node), shape, graph.info(x).dtype);
}

}  // namespace music
