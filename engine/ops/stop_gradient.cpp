#include "engine/ops/stop_gradient.h"

#include <cstring>

#include "engine/core/device_runtime.h"
#include "engine/ops/function_kernel.h"

namespace music {

Value stop_gradient(Graph& graph, Value x) {
  Node node;
  node.op = "stop_gradient";
  node.inputs = {x};
  node.in_place = {0};
  node.stops_gradient = true;
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
  return graph.add1(std::move(node), graph.shape(x), graph.info(x).dtype);
}

}  // namespace music
