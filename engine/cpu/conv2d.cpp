#include "engine/ops/conv2d.h"

#include <string_view>

#include "engine/core/buffer.h"
#include "engine/cpu/elementwise.h"
#include "engine/cpu/gemm.h"
#include "engine/cpu/onednn.h"
#include "engine/cpu/winograd.h"

namespace music::cpu {
namespace {

using dnnl::memory;
using Format = memory::format_tag;

// What the three primitives share. Activations are NHWC, as oneDNN runs them
// well; weights are [K,R,S,C] ("ohwi") in the flat block and are reordered into
// the primitive's own format in the workspace, once a step.
struct Problem {
  memory::desc x, w_any, w_plain, y;
  memory::dims stride, pad;

  Problem(const Shape& xs, const Shape& ws, const Shape& ys, Conv2dSpec spec)
      : x({xs[0], xs[3], xs[1], xs[2]}, memory::data_type::f32, Format::nhwc),
        w_any({ws[0], ws[3], ws[1], ws[2]}, memory::data_type::f32, Format::any),
        w_plain({ws[0], ws[3], ws[1], ws[2]}, memory::data_type::f32,
                Format::ohwi),
        y({ys[0], ys[3], ys[1], ys[2]}, memory::data_type::f32, Format::nhwc),
        stride{spec.stride, spec.stride},
        pad{spec.pad, spec.pad} {}
  bool pointwise_strided() const {
    const auto w = w_plain.dims();
    return w[2] == 1 && w[3] == 1 && stride[0] > 1;
  }
};

dnnl::primitive_attr user_scratchpad() {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

dnnl::convolution_forward::primitive_desc forward_desc(const Problem& p) {
  const dnnl::convolution_forward::desc d(
      dnnl::prop_kind::forward_training, dnnl::algorithm::convolution_direct,
      p.x, p.w_any, p.y, p.stride, p.pad, p.pad);
  return {d, user_scratchpad(), onednn_engine()};
}

memory wrap(const memory::desc& desc, void* data) {
  return memory(desc, onednn_engine(), data);
}

// A convolution primitive with its weights in a format of its own. Workspace:
// [weights in that format | scratchpad].
class Convolution : public Kernel {
 public:
  std::size_t workspace_bytes() const override {
    return weight_bytes() + scratch_.get_size();
  }

 protected:
  void prepare(const char* name, dnnl::primitive primitive,
               const memory::desc& plain, const memory::desc& inner,
               const memory::desc& scratch) {
    name_ = name;
    primitive_ = std::move(primitive);
    plain_ = plain, inner_ = inner, scratch_ = scratch;
  }
  std::size_t weight_bytes() const {
    return inner_ == plain_ ? 0 : aligned(inner_.get_size());
  }
  memory inner_weights(void* plain, void* workspace) const {
    return wrap(inner_, inner_ == plain_ ? plain : workspace);
  }
  memory scratch(void* workspace) const {
    return wrap(scratch_, static_cast<std::byte*>(workspace) + weight_bytes());
  }

  const char* name_ = "";
  dnnl::primitive primitive_;
  memory::desc plain_, inner_, scratch_;
};

// Forward and backward data: weights go in, reordered first.
class ConvFromWeights : public Convolution {
 public:
  void run(const KernelArgs& args) override {
    onednn_guard(name_, [&] {
      auto& stream = onednn_stream();
      memory w = inner_weights(args.in[1].data, args.workspace);
      if (to_inner_) {
        memory plain = wrap(plain_, args.in[1].data);
        to_inner_.execute(stream, plain, w);
      }
      primitive_.execute(stream, {{from_arg_, wrap(from_, args.in[0].data)},
                                  {DNNL_ARG_WEIGHTS, w},
                                  {to_arg_, wrap(to_, args.out[0].data)},
                                  {DNNL_ARG_SCRATCHPAD, scratch(args.workspace)}});
      stream.wait();
    });
  }

 protected:
  ConvFromWeights(int from_arg, const memory::desc& from, int to_arg,
                  const memory::desc& to)
      : from_arg_(from_arg), to_arg_(to_arg), from_(from), to_(to) {}
  void prepare_reorder() {
    if (inner_ != plain_)
      to_inner_ = dnnl::reorder({onednn_engine(), plain_, onednn_engine(), inner_});
  }

 private:
  int from_arg_, to_arg_;
  memory::desc from_, to_;
  dnnl::reorder to_inner_;
};

class ConvForward final : public ConvFromWeights {
 public:
  explicit ConvForward(const Problem& p)
      : ConvFromWeights(DNNL_ARG_SRC, p.x, DNNL_ARG_DST, p.y) {
    const auto d = forward_desc(p);
    prepare("conv2d", dnnl::convolution_forward(d), p.w_plain, d.weights_desc(),
            d.scratchpad_desc());
    prepare_reorder();
  }
};

class ConvBackwardData final : public ConvFromWeights {
 public:
  explicit ConvBackwardData(const Problem& p)
      : ConvFromWeights(DNNL_ARG_DIFF_DST, p.y, DNNL_ARG_DIFF_SRC, p.x) {
    const dnnl::convolution_backward_data::desc d(
        dnnl::algorithm::convolution_direct, p.x, p.w_any, p.y, p.stride, p.pad,
        p.pad);
    const dnnl::convolution_backward_data::primitive_desc pd(
        d, user_scratchpad(), onednn_engine(), forward_desc(p));
    prepare("conv2d_backward_data", dnnl::convolution_backward_data(pd),
            p.w_plain, pd.weights_desc(), pd.scratchpad_desc());
    prepare_reorder();
  }
};

class ConvBackwardWeights final : public Convolution {
 public:
  explicit ConvBackwardWeights(const Problem& p) : p_(p) {
    const dnnl::convolution_backward_weights::desc d(
        dnnl::algorithm::convolution_direct, p.x, p.w_any, p.y, p.stride, p.pad,
        p.pad);
    dnnl::convolution_backward_weights::primitive_desc pd(
        d, user_scratchpad(), onednn_engine(), forward_desc(p));
    // oneDNN 2.6 on AVX2: strided 1x1 kernels write past their scratchpad
    // unless channels fill whole vectors.
    while (p.pointwise_strided() && p.x.dims()[1] % 8 != 0 &&
           std::string_view(pd.impl_info_str()).starts_with("jit_1x1:avx2"))
      MUSIC_CHECK(pd.next_impl(), "[conv2d_backward_weights] no body");
    prepare("conv2d_backward_weights", dnnl::convolution_backward_weights(pd),
            p.w_plain, pd.diff_weights_desc(), pd.scratchpad_desc());
    if (inner_ != plain_)
      to_plain_ = dnnl::reorder({onednn_engine(), inner_, onednn_engine(), plain_});
  }
  void run(const KernelArgs& args) override {
    onednn_guard(name_, [&] {
      auto& stream = onednn_stream();
      memory dw = inner_weights(args.out[0].data, args.workspace);
      primitive_.execute(stream,
                         {{DNNL_ARG_SRC, wrap(p_.x, args.in[0].data)},
                          {DNNL_ARG_DIFF_DST, wrap(p_.y, args.in[1].data)},
                          {DNNL_ARG_DIFF_WEIGHTS, dw},
                          {DNNL_ARG_SCRATCHPAD, scratch(args.workspace)}});
      if (to_plain_) {
        memory plain = wrap(plain_, args.out[0].data);
        to_plain_.execute(stream, dw, plain);
      }
      stream.wait();
    });
  }

 private:
  Problem p_;
  dnnl::reorder to_plain_;
};

// Forward, and backward data as a forward pass with turned weights.
std::unique_ptr<Kernel> winograd_kernel(const char* op, const KernelRequest& r,
                                        const Shape& from, const Shape& w,
                                        const Shape& to, int pad,
                                        bool transposed) {
  require_f32(r, op);
  const WinogradConvolution body(from, w, to, pad, transposed);
  return function_kernel(body.workspace_bytes(), [body](const KernelArgs& args) {
    body.run(args.in[0].f32(), args.in[1].f32(), {}, args.out[0].f32(),
             args.workspace);
  });
}

// A 1x1 convolution of stride 1 is a matrix product over all pixels. oneDNN's
// NHWC backward kernels run those at 100-200 GFLOP/s a core where its sgemm
// runs at 190-230; forward they are level.
bool is_product(const Shape& ws, Conv2dSpec spec) {
  return ws[1] == 1 && ws[2] == 1 && spec.stride == 1 && spec.pad == 0;
}

template <typename K>
std::unique_ptr<Kernel> make(const char* op, const KernelRequest& r,
                             const Shape& xs, const Shape& ws, const Shape& ys,
                             Conv2dSpec spec) {
  require_f32(r, op);
  MUSIC_CHECK(xs[3] == ws[3], "[{}] the CPU takes no padded channels: {} and {}",
              op, xs.str(), ws.str());
  return onednn_guard(op, [&]() -> std::unique_ptr<Kernel> {
    return std::make_unique<K>(Problem(xs, ws, ys, spec));
  });
}

}  // namespace

std::unique_ptr<Kernel> make_conv2d_forward(const KernelRequest& r,
                                            Conv2dSpec spec) {
  const Shape x = r.in[0].shape, w = r.in[1].shape, y = r.out[0].shape;
  if (winograd_pays(w, y, spec))
    return winograd_kernel("conv2d", r, x, w, y, spec.pad, false);
  return make<ConvForward>("conv2d", r, x, w, y, spec);
}

std::unique_ptr<Kernel> make_conv2d_backward_data(const KernelRequest& r,
                                                  Conv2dSpec spec) {
  const Shape ws = r.in[1].shape;
  if (is_product(ws, spec)) {
    require_f32(r, "conv2d_backward_data");
    const std::int64_t k = ws[0], c = ws[3], m = r.out[0].shape.elements() / c;
    return function_kernel([=](const KernelArgs& args) {
      sgemm(false, false, m, c, k, 1, args.in[0].f32(), k, args.in[1].f32(), c,
            0, args.out[0].f32(), c);
    });
  }
  const Shape dy = r.in[0].shape, dx = r.out[0].shape;
  if (winograd_pays(ws, dx, spec))
    return winograd_kernel("conv2d_backward_data", r, dy, ws, dx, 2 - spec.pad,
                           true);
  return make<ConvBackwardData>("conv2d_backward_data", r, r.out[0].shape,
                                r.in[1].shape, r.in[0].shape, spec);
}

std::unique_ptr<Kernel> make_conv2d_backward_weights(const KernelRequest& r,
                                                     Conv2dSpec spec) {
  const Shape ws = r.out[0].shape;
  if (is_product(ws, spec)) {
    require_f32(r, "conv2d_backward_weights");
    const std::int64_t k = ws[0], c = ws[3], m = r.in[0].shape.elements() / c;
    return function_kernel([=](const KernelArgs& args) {
      sgemm(true, false, k, c, m, 1, args.in[1].f32(), k, args.in[0].f32(), c,
            0, args.out[0].f32(), c);
    });
  }
  const Shape x = r.in[0].shape, dy = r.in[1].shape;
  if (winograd_pays(ws, dy, spec)) {
    require_f32(r, "conv2d_backward_weights");
    const WinogradWeightGradient body(x, dy, spec.pad);
    return function_kernel(
        body.workspace_bytes(), [body](const KernelArgs& args) {
          body.run(args.in[0].f32(), args.in[1].f32(), args.out[0].f32(),
                   args.workspace);
        });
  }
  return make<ConvBackwardWeights>("conv2d_backward_weights", r, r.in[0].shape,
                                   r.out[0].shape, r.in[1].shape, spec);
}

}  // namespace music::cpu
