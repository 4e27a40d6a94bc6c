#include "engine/ops/conv2d.h"

#include <cstdlib>
#include <string_view>

#include "engine/cuda/convolution.h"
#include "engine/cuda/gemm_kernel.h"
#include "engine/cuda/widen.h"
#include "engine/ops/function_kernel.h"

namespace music::cuda {
namespace {

// rows x [from_c] -> rows x [to_c]: channels beyond from_c are zero, those
// beyond to_c are dropped.
template <typename From, typename To>
__global__ void change_channels(const From* from, int from_c, To* to, int to_c,
                                std::int64_t rows) {
  const std::int64_t n = rows * to_c;
  const std::int64_t stride = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
       i < n; i += stride) {
    const std::int64_t row = i / to_c;
    const int c = static_cast<int>(i - row * to_c);
    to[i] = from_real<To>(c < from_c ? to_real(from[row * from_c + c]) : 0.0f);
  }
}

template <typename From, typename To>
void copy_channels(const From* from, std::int64_t from_c, To* to,
                   std::int64_t to_c, std::int64_t rows, void* stream) {
  launch(change_channels<From, To>, grid_stride(rows * to_c), stream, from,
         static_cast<int>(from_c), to, static_cast<int>(to_c), rows);
}

// A weight as the library takes it: with the channels of x.
Shape library_weight(const Shape& w, const Shape& x) {
  return {w[0], w[1], w[2], x[3]};
}

std::size_t bytes_of(const Shape& shape, DType dtype) {
  return static_cast<std::size_t>(shape.elements()) * size_of(dtype);
}

// A 1x1 convolution of stride 1 is a matrix product over all pixels.
// MUSIC_CONV_1X1=gemm hands those to the matrix library.
bool by_gemm(const Shape& w, Conv2dSpec spec) {
  const char* how = std::getenv("MUSIC_CONV_1X1");
  return how && std::string_view(how) == "gemm" && w[1] == 1 && w[2] == 1 &&
         spec.stride == 1 && spec.pad == 0;
}

// Forward and backward data: in[0] and the weight in[1]. Workspace: [weight
// with the channels of x, where it has not | library].
std::unique_ptr<Kernel> from_weight(const KernelRequest& r, const Shape& x,
                                    const Shape& y, Conv2dSpec spec,
                                    ConvolutionPass pass) {
  const Shape w = r.in[1].shape, inner = library_weight(w, x);
  const DType dtype = r.in[0].dtype;
  const auto convolution = std::make_shared<const Convolution>(
      ConvolutionProblem{x, inner, y, spec, dtype}, pass);
  if (w == inner)
    return function_kernel(
        convolution->workspace_bytes(), [convolution](const KernelArgs& args) {
          convolution->run(args.in[0].data, args.in[1].data, args.out[0].data,
                           args.workspace, args.stream);
        });
  const std::size_t weight = workspace_part(bytes_of(inner, dtype));
  std::unique_ptr<Kernel> kernel;
  with_real_type(dtype, "conv2d", [&]<typename T>(T) {
    kernel = function_kernel(
        weight + convolution->workspace_bytes(), [=](const KernelArgs& args) {
          copy_channels(static_cast<const T*>(args.in[1].data), w[3],
                        static_cast<T*>(args.workspace), inner[3],
                        w[0] * w[1] * w[2], args.stream);
          convolution->run(args.in[0].data, args.workspace, args.out[0].data,
                           static_cast<std::byte*>(args.workspace) + weight,
                           args.stream);
        });
  });
  return kernel;
}

}  // namespace

std::unique_ptr<Kernel> make_conv2d_forward(const KernelRequest& r,
                                            Conv2dSpec spec) {
  const Shape x = r.in[0].shape, w = r.in[1].shape;
  if (by_gemm(w, spec) && w[3] == x[3]) {
    GemmSpec g;  // y [pixels,K] = x [pixels,C] w^T
    g.m = x.elements() / x[3], g.n = w[0], g.k = x[3];
    g.lda = g.ldb = g.k, g.ldc = g.n;
    g.transpose_b = true;
    g.input = g.output = r.in[0].dtype;
    return gemm_kernel(g);
  }
  return from_weight(r, x, r.out[0].shape, spec, ConvolutionPass::kForward);
}

std::unique_ptr<Kernel> make_conv2d_backward_data(const KernelRequest& r,
                                                  Conv2dSpec spec) {
  const Shape x = r.out[0].shape, w = r.in[1].shape;
  if (by_gemm(w, spec) && w[3] == x[3]) {
    GemmSpec g;  // dx [pixels,C] = dy [pixels,K] w
    g.m = x.elements() / x[3], g.n = x[3], g.k = w[0];
    g.lda = g.k, g.ldb = g.ldc = g.n;
    g.input = g.output = r.in[0].dtype;
    return gemm_kernel(g);
  }
  return from_weight(r, x, r.in[0].shape, spec, ConvolutionPass::kBackwardData);
}

std::unique_ptr<Kernel> make_conv2d_backward_weights(const KernelRequest& r,
                                                     Conv2dSpec spec) {
  const Shape x = r.in[0].shape, dy = r.in[1].shape, w = r.out[0].shape;
  const DType dtype = r.in[0].dtype;
  if (by_gemm(w, spec) && w[3] == x[3]) {
    GemmSpec g;  // dw [K,C] = dy^T [K,pixels] x
    g.m = w[0], g.n = x[3], g.k = x.elements() / x[3];
    g.lda = g.m, g.ldb = g.ldc = g.n;
    g.transpose_a = true;
    g.input = dtype, g.output = DType::kF32;
    return gemm_kernel(g, 1);
  }
  const Shape inner = library_weight(w, x);
  const auto convolution = std::make_shared<const Convolution>(
      ConvolutionProblem{x, inner, dy, spec, dtype},
      ConvolutionPass::kBackwardWeights);
  if (dtype == DType::kF32 && w == inner)
    return function_kernel(
        convolution->workspace_bytes(), [convolution](const KernelArgs& args) {
          convolution->run(args.in[0].data, args.in[1].data, args.out[0].data,
                           args.workspace, args.stream);
        });
  // Workspace: [dw as the library leaves it | library].
  const std::size_t part = workspace_part(bytes_of(inner, dtype));
  std::unique_ptr<Kernel> kernel;
  with_real_type(dtype, "conv2d_backward_weights", [&]<typename T>(T) {
    kernel = function_kernel(
        part + convolution->workspace_bytes(), [=](const KernelArgs& args) {
          T* dw = static_cast<T*>(args.workspace);
          convolution->run(args.in[0].data, args.in[1].data, dw,
                           static_cast<std::byte*>(args.workspace) + part,
                           args.stream);
          const T* from = dw;
          float* to = args.out[0].f32();
          if (w == inner)
            widen(from, to, w.elements(), args.stream);
          else
            copy_channels(from, inner[3], to, w[3], w[0] * w[1] * w[2],
                          args.stream);
        });
  });
  return kernel;
}

}  // namespace music::cuda
