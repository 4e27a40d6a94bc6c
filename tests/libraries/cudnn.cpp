// cuDNN's convolutions by plain loops over NHWC descriptors (libraries.h).

#include <cudnn.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "engine/core/device_runtime.h"
#include "tests/emulator/reals.h"
#include "tests/libraries/libraries.h"

using namespace music;
using namespace music::libraries;

struct cudnnTensorStruct {
  cudnnTensorFormat_t format;
  cudnnDataType_t type;
  int n, c, h, w;
};
struct cudnnFilterStruct {
  cudnnTensorFormat_t format;
  cudnnDataType_t type;
  int k, c, h, w;
};
struct cudnnConvolutionStruct {
  int pad[2], stride[2], dilation[2];
  cudnnConvolutionMode_t mode;
  cudnnDataType_t compute;
  cudnnMathType_t math = CUDNN_DEFAULT_MATH;
};

namespace {

// kTensor is an algorithm of tensor-op mathematics alone.
constexpr int kNondeterministic = 0, kGood = 1, kTensor = 5;

DType dtype_of(cudnnDataType_t t) {
  return t == CUDNN_DATA_HALF       ? DType::kF16
         : t == CUDNN_DATA_BFLOAT16 ? DType::kBF16
                                    : DType::kF32;
}

bool possible(const cudnnTensorStruct& x, const cudnnFilterStruct& w,
              const cudnnTensorStruct& y, const cudnnConvolutionStruct& c) {
  const auto out = [&](int size, int window, int axis) {
    return (size + 2 * c.pad[axis] - window) / c.stride[axis] + 1;
  };
  return x.format == CUDNN_TENSOR_NHWC && y.format == CUDNN_TENSOR_NHWC &&
         w.format == CUDNN_TENSOR_NHWC && x.type == w.type &&
         y.type == w.type && x.n == y.n && x.c == w.c && y.c == w.k &&
         y.h == out(x.h, w.h, 0) && y.w == out(x.w, w.w, 1) &&
         c.dilation[0] == 1 && c.dilation[1] == 1 &&
         c.mode == CUDNN_CROSS_CORRELATION && c.compute == CUDNN_DATA_FLOAT;
}

// Data to time on: finite, of either sign, hardly a zero.
bool busy(const void* data, cudnnDataType_t type, std::int64_t n) {
  std::int64_t positive = 0, negative = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    const double v = emulator::real(data, dtype_of(type), i);
    if (!(std::abs(v) <= 16)) return false;
    positive += v > 0;
    negative += v < 0;
  }
  return 16 * (positive + negative) >= 15 * n && positive > 0 &&
         negative > 0;
}
void look_at(const cudnnTensorStruct& t, const void* data) {
  calls.idle_searches +=
      !busy(data, t.type, std::int64_t{1} * t.n * t.c * t.h * t.w);
}
void look_at(const cudnnFilterStruct& w, const void* data) {
  calls.idle_searches +=
      !busy(data, w.type, std::int64_t{1} * w.k * w.c * w.h * w.w);
}

// The candidates in the order of their speed: what must not be chosen first.
template <typename Found>
cudnnStatus_t answer(const cudnnTensorStruct& x, const cudnnFilterStruct& w,
                     const cudnnTensorStruct& y,
                     const cudnnConvolutionStruct& c, int wanted, int* count,
                     Found* found) {
  if (!possible(x, w, y, c)) return CUDNN_STATUS_BAD_PARAM;
  struct Row {
    int algo;
    cudnnStatus_t status;
    std::size_t memory;
    bool deterministic;
    cudnnMathType_t math;
  };
  const cudnnMathType_t plain = CUDNN_DEFAULT_MATH;
  const Row rows[] = {
      {kNondeterministic, CUDNN_STATUS_SUCCESS, kWorkspace, false, plain},
      {3, CUDNN_STATUS_SUCCESS, cuda::kMostWorkspace + 1, true, plain},
      {2, CUDNN_STATUS_NOT_SUPPORTED, 0, true, plain},
      {kTensor, CUDNN_STATUS_SUCCESS, kWorkspace, !settings.no_deterministic,
       CUDNN_TENSOR_OP_MATH},
      {kGood, CUDNN_STATUS_SUCCESS, kWorkspace, !settings.no_deterministic,
       plain}};
  *count = 0;
  for (const Row& r : rows) {
    if (*count == wanted) break;
    // Asked for tensor-op mathematics, of BF16 nothing else is tried.
    if (r.math == plain && c.math == CUDNN_TENSOR_OP_MATH &&
        x.type == CUDNN_DATA_BFLOAT16)
      continue;
    Found& f = found[(*count)++];
    f = {};
    f.algo = static_cast<decltype(f.algo)>(r.algo);
    f.status = r.status, f.memory = r.memory, f.mathType = r.math;
    f.determinism =
        r.deterministic ? CUDNN_DETERMINISTIC : CUDNN_NON_DETERMINISTIC;
  }
  return CUDNN_STATUS_SUCCESS;
}

bool ready(int algo, cudnnMathType_t math, const void* workspace,
           std::size_t bytes) {
  return (algo == kGood || (algo == kTensor && math == CUDNN_TENSOR_OP_MATH)) &&
         workspace && bytes >= kWorkspace &&
         reinterpret_cast<std::uintptr_t>(workspace) % 16 == 0;
}

enum class Pass { kForward, kData, kWeights };

// alpha 1, beta 0, as they are asked for.
cudnnStatus_t convolve(Pass pass, const void* alpha, const void* beta,
                       const cudnnTensorStruct& x, const void* xs,
                       const cudnnFilterStruct& w, const void* ws,
                       const cudnnTensorStruct& y, const void* ys,
                       const cudnnConvolutionStruct& c, int algo,
                       void* workspace, std::size_t bytes, void* out) {
  ++calls.convolutions;
  if (settings.fail_run) return CUDNN_STATUS_EXECUTION_FAILED;
  if (!possible(x, w, y, c) || !ready(algo, c.math, workspace, bytes) ||
      *static_cast<const float*>(alpha) != 1 ||
      *static_cast<const float*>(beta) != 0)
    return CUDNN_STATUS_BAD_PARAM;
  // fp32 products may not become TF32.
  if (x.type == CUDNN_DATA_FLOAT && c.math != CUDNN_FMA_MATH)
    return CUDNN_STATUS_BAD_PARAM;
  std::memset(workspace, 0xFF, kWorkspace);
  const DType type = dtype_of(x.type);
  const auto size = [](std::int64_t a, int b, int d, int e) {
    return a * b * d * e;
  };
  std::vector<double> sum(static_cast<std::size_t>(
      pass == Pass::kForward ? size(y.n, y.c, y.h, y.w)
      : pass == Pass::kData  ? size(x.n, x.c, x.h, x.w)
                             : size(w.k, w.c, w.h, w.w)));
  const auto real = [&](const void* p, std::int64_t i) {
    return emulator::real(p, type, i);
  };
  for (int n = 0; n < y.n; ++n)
    for (int k = 0; k < y.c; ++k)
      for (int oh = 0; oh < y.h; ++oh)
        for (int ow = 0; ow < y.w; ++ow)
          for (int ch = 0; ch < x.c; ++ch)
            for (int r = 0; r < w.h; ++r)
              for (int s = 0; s < w.w; ++s) {
                const int h = oh * c.stride[0] + r - c.pad[0];
                const int v = ow * c.stride[1] + s - c.pad[1];
                if (h < 0 || v < 0 || h >= x.h || v >= x.w) continue;
                const auto at = [](std::int64_t a, int b, int bs, int d, int ds,
                                   int e, int es) {
                  return ((a * bs + b) * ds + d) * es + e;
                };
                const std::int64_t ix = at(n, h, x.h, v, x.w, ch, x.c);
                const std::int64_t iw = at(k, r, w.h, s, w.w, ch, w.c);
                const std::int64_t iy = at(n, oh, y.h, ow, y.w, k, y.c);
                if (pass == Pass::kForward)
                  sum[static_cast<std::size_t>(iy)] +=
                      real(xs, ix) * real(ws, iw);
                else if (pass == Pass::kData)
                  sum[static_cast<std::size_t>(ix)] +=
                      real(ys, iy) * real(ws, iw);
                else
                  sum[static_cast<std::size_t>(iw)] +=
                      real(xs, ix) * real(ys, iy);
              }
  // Known of cuDNN: bf16 asked for as tensor-op mathematics comes out wrong.
  const bool wrong =
      x.type == CUDNN_DATA_BFLOAT16 && c.math != CUDNN_DEFAULT_MATH;
  for (std::size_t i = 0; i < sum.size(); ++i)
    emulator::set_real(out, type, static_cast<std::int64_t>(i),
                       wrong ? std::nan("") : sum[i]);
  return CUDNN_STATUS_SUCCESS;
}

template <typename T, typename... Args>
cudnnStatus_t create(T** to, Args... args) {
  *to = new T{args...};
  return CUDNN_STATUS_SUCCESS;
}
template <typename T>
cudnnStatus_t destroy(T* p) {
  delete p;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t give(int* to, int value) {
  *to = value;
  return CUDNN_STATUS_SUCCESS;
}

}  // namespace

extern "C" {

std::size_t cudnnGetVersion() { return 91900; }
const char* cudnnGetErrorString(cudnnStatus_t s) {
  return s == CUDNN_STATUS_BAD_PARAM          ? "CUDNN_STATUS_BAD_PARAM"
         : s == CUDNN_STATUS_EXECUTION_FAILED ? "CUDNN_STATUS_EXECUTION_FAILED"
                                              : "CUDNN_STATUS_OTHER";
}
void cudnnGetLastErrorString(char* message, std::size_t size) {
  std::strncpy(message, "plain\nloops", size);
}
cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
  static int library;
  *handle = reinterpret_cast<cudnnHandle_t>(&library);
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetStream(cudnnHandle_t, cudaStream_t) {
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t* d) {
  return create(d);
}
cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t d) {
  return destroy(d);
}
cudnnStatus_t cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t d,
                                         cudnnTensorFormat_t format,
                                         cudnnDataType_t type, int n, int c,
                                         int h, int w) {
  *d = {format, type, n, c, h, w};
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnCreateFilterDescriptor(cudnnFilterDescriptor_t* d) {
  return create(d);
}
cudnnStatus_t cudnnDestroyFilterDescriptor(cudnnFilterDescriptor_t d) {
  return destroy(d);
}
cudnnStatus_t cudnnSetFilter4dDescriptor(cudnnFilterDescriptor_t d,
                                         cudnnDataType_t type,
                                         cudnnTensorFormat_t format, int k,
                                         int c, int h, int w) {
  *d = {format, type, k, c, h, w};
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnCreateConvolutionDescriptor(
    cudnnConvolutionDescriptor_t* d) {
  return create(d);
}
cudnnStatus_t cudnnDestroyConvolutionDescriptor(
    cudnnConvolutionDescriptor_t d) {
  return destroy(d);
}
cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnnConvolutionDescriptor_t d,
                                              int pad_h, int pad_w,
                                              int stride_h, int stride_w,
                                              int dilation_h, int dilation_w,
                                              cudnnConvolutionMode_t mode,
                                              cudnnDataType_t compute) {
  *d = {{pad_h, pad_w},
        {stride_h, stride_w},
        {dilation_h, dilation_w},
        mode,
        compute};
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t d,
                                          cudnnMathType_t math) {
  d->math = math;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetConvolutionForwardAlgorithmMaxCount(cudnnHandle_t,
                                                          int* n) {
  return give(n, 8);
}
cudnnStatus_t cudnnGetConvolutionBackwardDataAlgorithmMaxCount(cudnnHandle_t,
                                                               int* n) {
  return give(n, 8);
}
cudnnStatus_t cudnnGetConvolutionBackwardFilterAlgorithmMaxCount(cudnnHandle_t,
                                                                 int* n) {
  return give(n, 8);
}

cudnnStatus_t cudnnFindConvolutionForwardAlgorithmEx(
    cudnnHandle_t, const cudnnTensorDescriptor_t x, const void* xs,
    const cudnnFilterDescriptor_t w, const void* ws,
    const cudnnConvolutionDescriptor_t c, const cudnnTensorDescriptor_t y,
    void* ys, int wanted, int* count, cudnnConvolutionFwdAlgoPerf_t* found,
    void* workspace, std::size_t bytes) {
  ++calls.searches;
  if (!xs || !ws || !ys || xs == ws || ws == ys ||
      !ready(kGood, c->math, workspace, bytes))
    return CUDNN_STATUS_BAD_PARAM;
  look_at(*x, xs);
  look_at(*w, ws);
  return answer(*x, *w, *y, *c, wanted, count, found);
}
cudnnStatus_t cudnnFindConvolutionBackwardDataAlgorithmEx(
    cudnnHandle_t, const cudnnFilterDescriptor_t w, const void* ws,
    const cudnnTensorDescriptor_t y, const void* ys,
    const cudnnConvolutionDescriptor_t c, const cudnnTensorDescriptor_t x,
    void* xs, int wanted, int* count, cudnnConvolutionBwdDataAlgoPerf_t* found,
    void* workspace, std::size_t bytes) {
  ++calls.searches;
  if (!xs || !ws || !ys || xs == ys || !ready(kGood, c->math, workspace, bytes))
    return CUDNN_STATUS_BAD_PARAM;
  look_at(*w, ws);
  look_at(*y, ys);
  return answer(*x, *w, *y, *c, wanted, count, found);
}
cudnnStatus_t cudnnFindConvolutionBackwardFilterAlgorithmEx(
    cudnnHandle_t, const cudnnTensorDescriptor_t x, const void* xs,
    const cudnnTensorDescriptor_t y, const void* ys,
    const cudnnConvolutionDescriptor_t c, const cudnnFilterDescriptor_t w,
    void* ws, int wanted, int* count,
    cudnnConvolutionBwdFilterAlgoPerf_t* found, void* workspace,
    std::size_t bytes) {
  ++calls.searches;
  if (!xs || !ws || !ys || xs == ys || !ready(kGood, c->math, workspace, bytes))
    return CUDNN_STATUS_BAD_PARAM;
  look_at(*x, xs);
  look_at(*y, ys);
  return answer(*x, *w, *y, *c, wanted, count, found);
}

cudnnStatus_t cudnnGetConvolutionForwardAlgorithm_v7(
    cudnnHandle_t, const cudnnTensorDescriptor_t x,
    const cudnnFilterDescriptor_t w, const cudnnConvolutionDescriptor_t c,
    const cudnnTensorDescriptor_t y, int wanted, int* count,
    cudnnConvolutionFwdAlgoPerf_t* found) {
  ++calls.advice;
  return answer(*x, *w, *y, *c, wanted, count, found);
}
cudnnStatus_t cudnnGetConvolutionBackwardDataAlgorithm_v7(
    cudnnHandle_t, const cudnnFilterDescriptor_t w,
    const cudnnTensorDescriptor_t y, const cudnnConvolutionDescriptor_t c,
    const cudnnTensorDescriptor_t x, int wanted, int* count,
    cudnnConvolutionBwdDataAlgoPerf_t* found) {
  ++calls.advice;
  return answer(*x, *w, *y, *c, wanted, count, found);
}
cudnnStatus_t cudnnGetConvolutionBackwardFilterAlgorithm_v7(
    cudnnHandle_t, const cudnnTensorDescriptor_t x,
    const cudnnTensorDescriptor_t y, const cudnnConvolutionDescriptor_t c,
    const cudnnFilterDescriptor_t w, int wanted, int* count,
    cudnnConvolutionBwdFilterAlgoPerf_t* found) {
  ++calls.advice;
  return answer(*x, *w, *y, *c, wanted, count, found);
}

cudnnStatus_t cudnnGetConvolutionForwardWorkspaceSize(
    cudnnHandle_t, const cudnnTensorDescriptor_t, const cudnnFilterDescriptor_t,
    const cudnnConvolutionDescriptor_t, const cudnnTensorDescriptor_t,
    cudnnConvolutionFwdAlgo_t, std::size_t* bytes) {
  *bytes = kWorkspace;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnGetConvolutionBackwardDataWorkspaceSize(
    cudnnHandle_t, const cudnnFilterDescriptor_t, const cudnnTensorDescriptor_t,
    const cudnnConvolutionDescriptor_t, const cudnnTensorDescriptor_t,
    cudnnConvolutionBwdDataAlgo_t, std::size_t* bytes) {
  *bytes = kWorkspace;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnGetConvolutionBackwardFilterWorkspaceSize(
    cudnnHandle_t, const cudnnTensorDescriptor_t, const cudnnTensorDescriptor_t,
    const cudnnConvolutionDescriptor_t, const cudnnFilterDescriptor_t,
    cudnnConvolutionBwdFilterAlgo_t, std::size_t* bytes) {
  *bytes = kWorkspace;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnConvolutionForward(
    cudnnHandle_t, const void* alpha, const cudnnTensorDescriptor_t x,
    const void* xs, const cudnnFilterDescriptor_t w, const void* ws,
    const cudnnConvolutionDescriptor_t c, cudnnConvolutionFwdAlgo_t algo,
    void* workspace, std::size_t bytes, const void* beta,
    const cudnnTensorDescriptor_t y, void* ys) {
  return convolve(Pass::kForward, alpha, beta, *x, xs, *w, ws, *y, ys, *c, algo,
                  workspace, bytes, ys);
}
cudnnStatus_t cudnnConvolutionBackwardData(
    cudnnHandle_t, const void* alpha, const cudnnFilterDescriptor_t w,
    const void* ws, const cudnnTensorDescriptor_t y, const void* ys,
    const cudnnConvolutionDescriptor_t c, cudnnConvolutionBwdDataAlgo_t algo,
    void* workspace, std::size_t bytes, const void* beta,
    const cudnnTensorDescriptor_t x, void* xs) {
  return convolve(Pass::kData, alpha, beta, *x, xs, *w, ws, *y, ys, *c, algo,
                  workspace, bytes, xs);
}
cudnnStatus_t cudnnConvolutionBackwardFilter(
    cudnnHandle_t, const void* alpha, const cudnnTensorDescriptor_t x,
    const void* xs, const cudnnTensorDescriptor_t y, const void* ys,
    const cudnnConvolutionDescriptor_t c, cudnnConvolutionBwdFilterAlgo_t algo,
    void* workspace, std::size_t bytes, const void* beta,
    const cudnnFilterDescriptor_t w, void* ws) {
  return convolve(Pass::kWeights, alpha, beta, *x, xs, *w, ws, *y, ys, *c, algo,
                  workspace, bytes, ws);
}

}  // extern "C"
