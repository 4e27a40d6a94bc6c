#pragma once
// A product of a node's two inputs as a kernel.

#include <cstddef>
#include <memory>

#include "engine/cuda/gemm.h"
#include "engine/ops/function_kernel.h"

namespace music::cuda {

// out[0] = in[first] in[1 - first], no bias.
inline std::unique_ptr<Kernel> gemm_kernel(const GemmSpec& spec,
                                           std::size_t first = 0) {
  const auto gemm = std::make_shared<const Gemm>(spec);
  return function_kernel(
      gemm->workspace_bytes(), [gemm, first](const KernelArgs& args) {
        gemm->run(args.in[first].data, args.in[1 - first].data,
                  args.out[0].data, nullptr, 1, 0, args.workspace, args.stream);
      });
}

}  // namespace music::cuda
