#pragma once
// A kernel made of one callable (const KernelArgs&).

#include <cstddef>
#include <memory>
#include <utility>

#include "engine/ops/kernel.h"

namespace music {

template <typename F>
class FunctionKernel final : public Kernel {
 public:
  FunctionKernel(std::size_t workspace, F fn)
      : workspace_(workspace), fn_(std::move(fn)) {}
  std::size_t workspace_bytes() const override { return workspace_; }
  void run(const KernelArgs& args) override { fn_(args); }

 private:
  std::size_t workspace_;
  F fn_;
};

template <typename F>
std::unique_ptr<Kernel> function_kernel(F fn) {
  return std::make_unique<FunctionKernel<F>>(0, std::move(fn));
}

// With bytes of workspace.
template <typename F>
std::unique_ptr<Kernel> function_kernel(std::size_t workspace, F fn) {
  return std::make_unique<FunctionKernel<F>>(workspace, std::move(fn));
}

}  // namespace music
