#include "engine/ops/conv2d_norm.h"

#include <cmath>
#include <cstring>

#include "engine/core/buffer.h"
#include "engine/cpu/elementwise.h"
#include "engine/cpu/onednn.h"
#include "engine/cpu/winograd.h"

namespace music::cpu {
namespace {

using dnnl::memory;
using Format = memory::format_tag;

memory::dims dims_of(const Shape& s) { return {s[0], s[3], s[1], s[2]}; }

// What both ways begin with. Workspace: folded weights [K,R,S,C] | bias | theirs.
class Folded : public Kernel {
 public:
  void run(const KernelArgs& args) override {
    auto* bytes = static_cast<std::byte*>(args.workspace);
    auto* weights = reinterpret_cast<float*>(bytes);
    auto* bias = reinterpret_cast<float*>(bytes + bias_at());
    fold(args, weights, bias);
    const Tensor& y = args.out[0];
    if (spec_.residual && args.in[6].data != y.data) copy(args.in[6], y);
    convolve(args.in[0].f32(), weights, bias, y.f32(), bytes + rest_at());
  }
  std::size_t workspace_bytes() const final { return rest_at() + rest_bytes(); }

 protected:
  Folded(const Shape& ws, const Conv2dNormSpec& spec)
      : spec_(spec), channels_(ws[0]), taps_(ws[1] * ws[2] * ws[3]) {}
  virtual std::size_t rest_bytes() const = 0;
  // y = [relu](conv2d(x, weights) + bias [+ y])
  virtual void convolve(float* x, float* weights, float* bias, float* y,
                        std::byte* rest) = 0;

  Conv2dNormSpec spec_;

 private:
  std::size_t bias_at() const {
    return aligned(static_cast<std::size_t>(channels_ * taps_) * sizeof(float));
  }
  std::size_t rest_at() const {
    return bias_at() + aligned(static_cast<std::size_t>(channels_) * sizeof(float));
  }

  void fold(const KernelArgs& args, float* folded, float* bias) const {
    const float *w = args.in[1].f32(), *gamma = args.in[2].f32(),
                *beta = args.in[3].f32(), *mean = args.in[4].f32(),
                *var = args.in[5].f32();
    parallel_ranges(channels_, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t k = begin; k < end; ++k) {
        const double scale = gamma[k] / std::sqrt(var[k] + spec_.epsilon);
        bias[k] = static_cast<float>(beta[k] - mean[k] * scale);
        const auto factor = static_cast<float>(scale);
#pragma omp simd
        for (std::int64_t i = 0; i < taps_; ++i)
          folded[k * taps_ + i] = factor * w[k * taps_ + i];
      }
    });
  }

  static void copy(const Tensor& from, const Tensor& to) {
    const float* a = from.f32();
    float* b = to.f32();
    for_elements(to.elements(), [=](std::int64_t i) { b[i] = a[i]; });
  }
  std::int64_t channels_, taps_;  // taps: of a channel's weights
};

class Winograd final : public Folded {
 public:
  Winograd(const Shape& xs, const Shape& ws, const Shape& ys,
           const Conv2dNormSpec& spec)
      : Folded(ws, spec), body_(xs, ws, ys, spec.conv.pad, false) {}

 private:
  std::size_t rest_bytes() const override { return body_.workspace_bytes(); }
  void convolve(float* x, float* weights, float* bias, float* y,
                std::byte* rest) override {
    body_.run(x, weights, {bias, spec_.residual, spec_.relu}, y, rest);
  }
  WinogradConvolution body_;
};

// Its rest: weights in the primitive's format | scratchpad.
class Direct final : public Folded {
 public:
  Direct(const Shape& xs, const Shape& ws, const Shape& ys,
         const Conv2dNormSpec& spec)
      : Folded(ws, spec),
        x_(dims_of(xs), memory::data_type::f32, Format::nhwc),
        y_(dims_of(ys), memory::data_type::f32, Format::nhwc),
        plain_(dims_of(ws), memory::data_type::f32, Format::ohwi),
        bias_({ws[0]}, memory::data_type::f32, Format::a) {
    dnnl::post_ops after;
    if (spec.residual) after.append_sum(1.0f);
    if (spec.relu)
      after.append_eltwise(1.0f, dnnl::algorithm::eltwise_relu, 0.0f, 0.0f);
    dnnl::primitive_attr attr;
    attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    attr.set_post_ops(after);
    const memory::dims stride{spec.conv.stride, spec.conv.stride};
    const memory::dims pad{spec.conv.pad, spec.conv.pad};
    const memory::desc any(dims_of(ws), memory::data_type::f32, Format::any);
    const dnnl::convolution_forward::primitive_desc desc(
        {dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct,
         x_, any, bias_, y_, stride, pad, pad},
        attr, onednn_engine());
    inner_ = desc.weights_desc();
    scratch_ = desc.scratchpad_desc();
    conv_ = dnnl::convolution_forward(desc);
    if (inner_ != plain_)
      to_inner_ =
          dnnl::reorder({onednn_engine(), plain_, onednn_engine(), inner_});
  }


 private:
  std::size_t inner_bytes() const {
    return to_inner_ ? aligned(inner_.get_size()) : 0;
  }
  std::size_t rest_bytes() const override {
    return inner_bytes() + scratch_.get_size();
  }
  void convolve(float* x, float* folded, float* bias, float* y,
                std::byte* rest) override {
    onednn_guard("conv2d_norm", [&] {
      auto& stream = onednn_stream();
      memory plain(plain_, onednn_engine(), folded), weights = plain;
      if (to_inner_) {
        weights = memory(inner_, onednn_engine(), rest);
        to_inner_.execute(stream, plain, weights);
      }
      conv_.execute(stream,
                    {{DNNL_ARG_SRC, memory(x_, onednn_engine(), x)},
                     {DNNL_ARG_WEIGHTS, weights},
                     {DNNL_ARG_BIAS, memory(bias_, onednn_engine(), bias)},
                     {DNNL_ARG_DST, memory(y_, onednn_engine(), y)},
                     {DNNL_ARG_SCRATCHPAD, memory(scratch_, onednn_engine(),
                                                  rest + inner_bytes())}});
      stream.wait();
    });
  }

  memory::desc x_, y_, plain_, bias_, inner_, scratch_;
  dnnl::convolution_forward conv_;
  dnnl::reorder to_inner_;
};

}  // namespace

std::unique_ptr<Kernel> make_conv2d_norm(const KernelRequest& r,
                                         Conv2dNormSpec spec) {
  require_f32(r, "conv2d_norm");
  const Shape xs = r.in[0].shape, ws = r.in[1].shape;
  MUSIC_CHECK(xs[3] == ws[3],
              "[conv2d_norm] the CPU takes no padded channels: {} and {}",
              xs.str(), ws.str());
  return onednn_guard("conv2d_norm", [&]() -> std::unique_ptr<Kernel> {
    const Shape ys = r.out[0].shape;
    if (winograd_pays(ws, ys, spec.conv))
      return std::make_unique<Winograd>(xs, ws, ys, spec);
    return std::make_unique<Direct>(xs, ws, ys, spec);
  });
}

}  // namespace music::cpu
