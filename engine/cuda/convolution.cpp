#include "engine/cuda/convolution.h"

#include <cudnn.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/core/buffer.h"
#include "engine/core/device_runtime.h"
#include "engine/cuda/check.h"
#include "engine/cuda/random_fill.h"

namespace music::cuda {

static void check(cudnnStatus_t status, const char* expression,
                  const char* file, int line) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  char detail[512] = "";
  cudnnGetLastErrorString(detail, sizeof detail);
  std::replace(std::begin(detail), std::end(detail), '\n', ' ');
  fail(cudnnGetErrorString(status), detail, expression, file, line);
}

namespace {

std::string version() {
  const std::size_t v = cudnnGetVersion();  // 91900: 9.19.0
  return fmt::format("cuDNN {}.{}.{}", v / 10000, v / 100 % 100, v % 100);
}

// The process's one; never destroyed, since the driver may be gone by then.
cudnnHandle_t handle() {
  static const cudnnHandle_t library = [] {
    const DeviceInfo device = device_info();
    if (10 * device.major + device.minor < 75 && cudnnGetVersion() >= 91100)
      throw error(ExitCode::kUsage,
                  "[conv2d] {} has compute capability {}.{}, which {} does not "
                  "serve: expected cuDNN 9.10 or earlier",
                  device.name, device.major, device.minor, version());
    cudnnHandle_t h = nullptr;
    MUSIC_CUDA(cudnnCreate(&h));
    return h;
  }();
  return library;
}

struct Destroy {
  void operator()(cudnnTensorStruct* p) const {
    cudnnDestroyTensorDescriptor(p);
  }
  void operator()(cudnnFilterStruct* p) const {
    cudnnDestroyFilterDescriptor(p);
  }
  void operator()(cudnnConvolutionStruct* p) const {
    cudnnDestroyConvolutionDescriptor(p);
  }
};

cudnnDataType_t type_of(DType dtype) {
  return dtype == DType::kF16    ? CUDNN_DATA_HALF
         : dtype == DType::kBF16 ? CUDNN_DATA_BFLOAT16
                                 : CUDNN_DATA_FLOAT;
}

int size(std::int64_t n) {
  MUSIC_CHECK(n > 0 && n <= 0x7FFFFFFF, "[conv2d] a dimension of {}", n);
  return static_cast<int>(n);
}

// F32 is multiplied as F32, not as TF32. BF16 is what tensor cores take in the
// default mode; asked for explicitly they have been seen to give NaN
// (github.com/uxlfoundation/oneDNN/pull/1583).
cudnnMathType_t plain_math(DType dtype) {
  return dtype == DType::kF32 ? CUDNN_FMA_MATH : CUDNN_DEFAULT_MATH;
}

struct Descriptors {
  std::unique_ptr<cudnnTensorStruct, Destroy> x, y;
  std::unique_ptr<cudnnFilterStruct, Destroy> w;
  std::unique_ptr<cudnnConvolutionStruct, Destroy> convolution;

  explicit Descriptors(const ConvolutionProblem& p) {
    const cudnnDataType_t type = type_of(p.dtype);
    const auto tensor = [&](auto& to, const Shape& s) {
      cudnnTensorDescriptor_t d = nullptr;
      MUSIC_CUDA(cudnnCreateTensorDescriptor(&d));
      to.reset(d);
      MUSIC_CUDA(cudnnSetTensor4dDescriptor(d, CUDNN_TENSOR_NHWC, type,
                                            size(s[0]), size(s[3]), size(s[1]),
                                            size(s[2])));
    };
    tensor(x, p.x);
    tensor(y, p.y);
    cudnnFilterDescriptor_t f = nullptr;
    MUSIC_CUDA(cudnnCreateFilterDescriptor(&f));
    w.reset(f);
    MUSIC_CUDA(cudnnSetFilter4dDescriptor(f, type, CUDNN_TENSOR_NHWC,
                                          size(p.w[0]), size(p.w[3]),
                                          size(p.w[1]), size(p.w[2])));
    cudnnConvolutionDescriptor_t c = nullptr;
    MUSIC_CUDA(cudnnCreateConvolutionDescriptor(&c));
    convolution.reset(c);
    MUSIC_CUDA(cudnnSetConvolution2dDescriptor(
        c, p.spec.pad, p.spec.pad, p.spec.stride, p.spec.stride, 1, 1,
        CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT));
    set_math(plain_math(p.dtype));
    // Of F16 the search tries both.
    if (p.dtype == DType::kF16) set_math(CUDNN_TENSOR_OP_MATH);
  }
  void set_math(cudnnMathType_t math) {
    MUSIC_CUDA(cudnnSetConvolutionMathType(convolution.get(), math));
  }
};

// The calls of one pass. The library takes operands in an order of its own:
// first, second -> out; kSwapped where that is not the order of run().
struct Forward {
  using Found = cudnnConvolutionFwdAlgoPerf_t;
  static constexpr const char* kName = "forward";
  static constexpr bool kSwapped = false;
  static constexpr auto kCount = cudnnGetConvolutionForwardAlgorithmMaxCount;
  static constexpr auto kFind = cudnnFindConvolutionForwardAlgorithmEx;
  static constexpr auto kAdvise = cudnnGetConvolutionForwardAlgorithm_v7;
  static constexpr auto kWorkspace = cudnnGetConvolutionForwardWorkspaceSize;
  static constexpr auto kRun = cudnnConvolutionForward;
  static auto first(const Descriptors& d) { return d.x.get(); }
  static auto second(const Descriptors& d) { return d.w.get(); }
  static auto out(const Descriptors& d) { return d.y.get(); }
};
struct BackwardData {
  using Found = cudnnConvolutionBwdDataAlgoPerf_t;
  static constexpr const char* kName = "backward data";
  static constexpr bool kSwapped = true;  // w, dy -> dx
  static constexpr auto kCount =
      cudnnGetConvolutionBackwardDataAlgorithmMaxCount;
  static constexpr auto kFind = cudnnFindConvolutionBackwardDataAlgorithmEx;
  static constexpr auto kAdvise = cudnnGetConvolutionBackwardDataAlgorithm_v7;
  static constexpr auto kWorkspace =
      cudnnGetConvolutionBackwardDataWorkspaceSize;
  static constexpr auto kRun = cudnnConvolutionBackwardData;
  static auto first(const Descriptors& d) { return d.w.get(); }
  static auto second(const Descriptors& d) { return d.y.get(); }
  static auto out(const Descriptors& d) { return d.x.get(); }
};
struct BackwardWeights {
  using Found = cudnnConvolutionBwdFilterAlgoPerf_t;
  static constexpr const char* kName = "backward weights";
  static constexpr bool kSwapped = false;
  static constexpr auto kCount =
      cudnnGetConvolutionBackwardFilterAlgorithmMaxCount;
  static constexpr auto kFind = cudnnFindConvolutionBackwardFilterAlgorithmEx;
  static constexpr auto kAdvise = cudnnGetConvolutionBackwardFilterAlgorithm_v7;
  static constexpr auto kWorkspace =
      cudnnGetConvolutionBackwardFilterWorkspaceSize;
  static constexpr auto kRun = cudnnConvolutionBackwardFilter;
  static auto first(const Descriptors& d) { return d.x.get(); }
  static auto second(const Descriptors& d) { return d.y.get(); }
  static auto out(const Descriptors& d) { return d.w.get(); }
};

template <typename F>
auto with_pass(ConvolutionPass pass, F&& fn) {
  switch (pass) {
    case ConvolutionPass::kForward: return fn(Forward{});
    case ConvolutionPass::kBackwardData: return fn(BackwardData{});
    case ConvolutionPass::kBackwardWeights: break;
  }
  return fn(BackwardWeights{});
}

struct Choice {
  int algorithm = 0;
  cudnnMathType_t math = CUDNN_DEFAULT_MATH;
};

std::size_t bytes_of(const Shape& s, DType dtype) {
  return static_cast<std::size_t>(s.elements()) * size_of(dtype);
}

bool tuning() {
  const char* v = std::getenv("MUSIC_TUNE");
  return !v || std::string_view(v) != "0";
}

// The candidates, best first: timed on scratch memory where there is room for
// it, else as the library advises.
template <typename Pass>
std::vector<typename Pass::Found> candidates(const ConvolutionProblem& p,
                                             const Descriptors& d) {
  int count = 0;
  MUSIC_CUDA(Pass::kCount(handle(), &count));
  std::vector<typename Pass::Found> found(static_cast<std::size_t>(count));
  const std::size_t x = bytes_of(p.x, p.dtype), w = bytes_of(p.w, p.dtype),
                    y = bytes_of(p.y, p.dtype);
  const std::size_t free = device_info().free_bytes;
  cudnnStatus_t status;
  if (tuning() && free > x + w + y + 2 * kMostWorkspace) {
    const Buffer x_data(x, Memory::kDevice), w_data(w, Memory::kDevice),
        y_data(y, Memory::kDevice), workspace(kMostWorkspace, Memory::kDevice);
    const auto data = [&](const void* descriptor) {
      return descriptor == d.x.get()   ? x_data.data()
             : descriptor == d.w.get() ? w_data.data()
                                       : y_data.data();
    };
    for (const Buffer* operand : {&x_data, &w_data, &y_data})
      if (operand->data() != data(Pass::out(d)))
        random_fill(*operand, p.dtype);
    MUSIC_CUDA(cudnnSetStream(handle(), nullptr));
    status = Pass::kFind(handle(), Pass::first(d), data(Pass::first(d)),
                         Pass::second(d), data(Pass::second(d)),
                         d.convolution.get(), Pass::out(d), data(Pass::out(d)),
                         count, &count, found.data(), workspace.data(),
                         workspace.bytes());
  } else {
    status = Pass::kAdvise(handle(), Pass::first(d), Pass::second(d),
                           d.convolution.get(), Pass::out(d), count, &count,
                           found.data());
  }
  if (CUDNN_STATUS_CATEGORY(status) == CUDNN_STATUS_NOT_SUPPORTED) count = 0;
  else check(status, "cudnn algorithm search", __FILE__, __LINE__);
  found.resize(static_cast<std::size_t>(count));
  return found;
}

template <typename Pass>
Choice choose(const ConvolutionProblem& p, const Descriptors& d) {
  for (const auto& c : candidates<Pass>(p, d)) {
    const bool fits = c.status == CUDNN_STATUS_SUCCESS &&
                      c.determinism == CUDNN_DETERMINISTIC &&
                      c.memory <= kMostWorkspace;
    const bool tensor_cores =
        c.mathType == CUDNN_TENSOR_OP_MATH ||
        c.mathType == CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION;
    if (!fits || (p.dtype != DType::kF16 && tensor_cores)) continue;
    return {static_cast<int>(c.algo),
            p.dtype == DType::kF16 ? c.mathType : plain_math(p.dtype)};
  }
  const DeviceInfo device = device_info();
  throw error(ExitCode::kUsage,
              "[conv2d] {} has no deterministic {} of {} on {} (compute "
              "capability {}.{}) with input {}, weight {}, stride {}, pad {} "
              "in {} MiB",
              version(), Pass::kName, name_of(p.dtype), device.name,
              device.major, device.minor, p.x.str(), p.w.str(), p.spec.stride,
              p.spec.pad, kMostWorkspace >> 20);
}

// Chosen once a process: the same convolution is in many layers and, for a
// batch size, in several executables.
Choice chosen(const ConvolutionProblem& p, ConvolutionPass pass,
              const Descriptors& d) {
  static std::map<std::array<std::int64_t, 16>, Choice> known;
  std::array<std::int64_t, 16> key{};
  std::size_t n = 0;
  for (const Shape* s : {&p.x, &p.w, &p.y})
    for (int i = 0; i < 4; ++i) key[n++] = (*s)[i];
  key[n++] = p.spec.stride, key[n++] = p.spec.pad;
  key[n++] = static_cast<std::int64_t>(p.dtype);
  key[n++] = static_cast<std::int64_t>(pass);
  const auto it = known.find(key);
  if (it != known.end()) return it->second;
  return known[key] = with_pass(
             pass, [&]<typename Pass>(Pass) { return choose<Pass>(p, d); });
}

}  // namespace

struct Convolution::Body {
  ConvolutionPass pass;
  Descriptors descriptors;
  int algorithm = 0;
  std::size_t workspace = 0;
};

Convolution::Convolution(const ConvolutionProblem& problem,
                         ConvolutionPass pass) {
  MUSIC_CHECK(problem.x.rank() == 4 && problem.w.rank() == 4 &&
                  problem.y.rank() == 4 && problem.x[3] == problem.w[3],
              "[conv2d] input {}, weight {}, output {}", problem.x.str(),
              problem.w.str(), problem.y.str());
  if (problem.dtype == DType::kBF16) {
    const DeviceInfo device = device_info();
    if (device.major < 8)
      throw error(ExitCode::kUsage,
                  "[conv2d] {} has compute capability {}.{}, BF16 needs 8.0: "
                  "use F16", device.name, device.major, device.minor);
  }
  body_ = std::make_unique<Body>(pass, Descriptors(problem));
  Body& body = *body_;
  const Choice choice = chosen(problem, pass, body.descriptors);
  body.algorithm = choice.algorithm;
  body.descriptors.set_math(choice.math);
  with_pass(pass, [&]<typename Pass>(Pass) {
    const Descriptors& d = body.descriptors;
    MUSIC_CUDA(Pass::kWorkspace(
        handle(), Pass::first(d), Pass::second(d), d.convolution.get(),
        Pass::out(d), static_cast<decltype(Pass::Found::algo)>(body.algorithm),
        &body.workspace));
  });
}
Convolution::Convolution(Convolution&&) noexcept = default;
Convolution& Convolution::operator=(Convolution&&) noexcept = default;
Convolution::~Convolution() = default;

std::size_t Convolution::workspace_bytes() const { return body_->workspace; }

void Convolution::run(const void* a, const void* b, void* out, void* workspace,
                      void* stream) const {
  const Body& body = *body_;
  const Descriptors& d = body.descriptors;
  MUSIC_CUDA(cudnnSetStream(handle(), static_cast<cudaStream_t>(stream)));
  const float one = 1, zero = 0;
  with_pass(body.pass, [&]<typename Pass>(Pass) {
    MUSIC_CUDA(Pass::kRun(
        handle(), &one, Pass::first(d), Pass::kSwapped ? b : a, Pass::second(d),
        Pass::kSwapped ? a : b, d.convolution.get(),
        static_cast<decltype(Pass::Found::algo)>(body.algorithm), workspace,
        body.workspace, &zero, Pass::out(d), out));
  });
}

}  // namespace music::cuda
