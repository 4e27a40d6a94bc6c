#include "engine/ops/linear.h"

#include <unordered_map>

#include "engine/cpu/elementwise.h"
#include "engine/cpu/gemm.h"
#include "engine/cpu/onednn.h"

namespace music::cpu {
namespace {

struct Sizes { std::int64_t m, i, o; };  // x [m,i], w [o,i], y [m,o]

using dnnl::memory;

// oneDNN's matmul takes the weights transposed as they lie ("ba"); its sgemm
// packs them first, which costs 5 times the product when m is small.
class LinearForward final : public Kernel {
 public:
  LinearForward(const Sizes& s, bool bias)
      : x_({s.m, s.i}, memory::data_type::f32, memory::format_tag::ab),
        w_({s.i, s.o}, memory::data_type::f32, memory::format_tag::ba),
        b_({1, s.o}, memory::data_type::f32, memory::format_tag::ab),
        y_({s.m, s.o}, memory::data_type::f32, memory::format_tag::ab),
        bias_(bias) {
    dnnl::primitive_attr attr;
    attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const dnnl::matmul::primitive_desc pd(
        bias ? dnnl::matmul::desc(x_, w_, b_, y_) : dnnl::matmul::desc(x_, w_, y_),
        attr, onednn_engine());
    scratch_ = pd.scratchpad_desc();
    matmul_ = dnnl::matmul(pd);
  }
  std::size_t workspace_bytes() const override { return scratch_.get_size(); }
  void run(const KernelArgs& args) override {
    onednn_guard("linear", [&] {
      const auto wrap = [](const memory::desc& desc, void* data) {
        return memory(desc, onednn_engine(), data);
      };
      std::unordered_map<int, memory> tensors = {
          {DNNL_ARG_SRC, wrap(x_, args.in[0].data)},
          {DNNL_ARG_WEIGHTS, wrap(w_, args.in[1].data)},
          {DNNL_ARG_DST, wrap(y_, args.out[0].data)},
          {DNNL_ARG_SCRATCHPAD, wrap(scratch_, args.workspace)}};
      if (bias_) tensors.emplace(DNNL_ARG_BIAS, wrap(b_, args.in[2].data));
      matmul_.execute(onednn_stream(), tensors);
      onednn_stream().wait();
    });
  }

 private:
  memory::desc x_, w_, b_, y_, scratch_;
  bool bias_;
  dnnl::matmul matmul_;
};

}  // namespace

std::unique_ptr<Kernel> make_linear_forward(const KernelRequest& r) {
  require_f32(r, "linear");
  const Sizes s{r.in[0].shape[0], r.in[0].shape[1], r.in[1].shape[0]};
  return onednn_guard("linear", [&]() -> std::unique_ptr<Kernel> {
    return std::make_unique<LinearForward>(s, r.in.size() == 3);
  });
}

std::unique_ptr<Kernel> make_linear_backward_data(const KernelRequest& r) {
  require_f32(r, "linear_backward_data");
  const Sizes s{r.in[0].shape[0], r.in[1].shape[1], r.in[1].shape[0]};
  return function_kernel([s](const KernelArgs& args) {
    sgemm(false, false, s.m, s.i, s.o, 1, args.in[0].f32(), s.o,
          args.in[1].f32(), s.i, 0, args.out[0].f32(), s.i);
  });
}

std::unique_ptr<Kernel> make_linear_backward_weights(const KernelRequest& r) {
  require_f32(r, "linear_backward_weights");
  const Sizes s{r.in[0].shape[0], r.in[0].shape[1], r.in[1].shape[1]};
  return function_kernel([s](const KernelArgs& args) {
    sgemm(true, false, s.o, s.i, s.m, 1, args.in[1].f32(), s.o,
          args.in[0].f32(), s.i, 0, args.out[0].f32(), s.i);
  });
}

std::unique_ptr<Kernel> make_linear_backward_bias(const KernelRequest& r) {
  require_f32(r, "linear_backward_bias");
  const std::int64_t m = r.in[0].shape[0], o = r.in[0].shape[1];
  return function_kernel([m, o](const KernelArgs& args) {
    const float* dy = args.in[0].f32();
    float* db = args.out[0].f32();
    // Columns in pieces of 64: the sums stay in registers over all rows.
    parallel_ranges(o, 64, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t c = begin; c < end; c += 64) {
        const std::int64_t width = std::min<std::int64_t>(64, end - c);
        double sum[64] = {};
        for (std::int64_t row = 0; row < m; ++row)
          for (std::int64_t j = 0; j < width; ++j) sum[j] += dy[row * o + c + j];
        for (std::int64_t j = 0; j < width; ++j)
          db[c + j] = static_cast<float>(sum[j]);
      }
    });
  });
}

}  // namespace music::cpu
