#include "engine/ops/conv2d_norm.h"

#include <algorithm>
#include <utility>

namespace music::cuda {
namespace {

// The two kernels, one behind the other: the second works in y.
class ConvThenNorm final : public Kernel {
 public:
  ConvThenNorm(std::unique_ptr<Kernel> conv, std::unique_ptr<Kernel> norm)
      : conv_(std::move(conv)), norm_(std::move(norm)) {}
  std::size_t workspace_bytes() const override {
    return std::max(conv_->workspace_bytes(), norm_->workspace_bytes());
  }
  void run(const KernelArgs& args) override {
    conv_->run({args.in.first(2), args.out, args.workspace, args.stream});
    Tensor in[6] = {args.out[0]};
    std::copy(args.in.begin() + 2, args.in.end(), in + 1);
    norm_->run({std::span<const Tensor>(in).first(args.in.size() - 1), args.out,
                args.workspace, args.stream});
  }

 private:
  std::unique_ptr<Kernel> conv_, norm_;
};

}  // namespace

std::unique_ptr<Kernel> make_conv2d_norm(const KernelRequest& r,
                                         Conv2dNormSpec spec) {
  KernelRequest conv = r, norm = r;
  conv.in.resize(2);
  norm.in.erase(norm.in.begin());
  norm.in[0] = r.out[0];
  const BatchNormForm form{.spec = {.relu = spec.relu, .epsilon = spec.epsilon},
                           .residual = spec.residual, .running = true};
  return std::make_unique<ConvThenNorm>(make_conv2d_forward(conv, spec.conv),
                                        make_batch_norm_inference(norm, form));
}

}  // namespace music::cuda
