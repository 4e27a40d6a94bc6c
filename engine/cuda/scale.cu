#include "engine/ops/scale.h"

#include "engine/cuda/elementwise.h"

namespace music::cuda {
namespace {

struct Scale {
  const float* s;
  __device__ float operator()(float x) const { return x * __ldg(s); }
};

}  // namespace

std::unique_ptr<Kernel> make_scale(const KernelRequest& r) {
  return elementwise_kernel<1>(r, "scale", [](const KernelArgs& args) {
    return Scale{args.in[1].f32()};
  });
}

}  // namespace music::cuda
