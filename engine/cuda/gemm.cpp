#include "engine/cuda/gemm.h"

#include <cublasLt.h>

#include <cstddef>

#include "engine/core/device_runtime.h"
#include "engine/cuda/check.h"

namespace music::cuda {

static void check(cublasStatus_t status, const char* expression,
                  const char* file, int line) {
  if (status != CUBLAS_STATUS_SUCCESS)
    fail(cublasLtGetStatusName(status), cublasLtGetStatusString(status),
         expression, file, line);
}

namespace {

// The process's one; never destroyed, since the driver may be gone by then.
cublasLtHandle_t handle() {
  static const cublasLtHandle_t library = [] {
    cublasLtHandle_t h = nullptr;
    MUSIC_CUDA(cublasLtCreate(&h));
    return h;
  }();
  return library;
}

struct Destroy {
  void operator()(cublasLtMatmulDescOpaque_t* p) const {
    cublasLtMatmulDescDestroy(p);
  }
  void operator()(cublasLtMatrixLayoutOpaque_t* p) const {
    cublasLtMatrixLayoutDestroy(p);
  }
  void operator()(cublasLtMatmulPreferenceOpaque_t* p) const {
    cublasLtMatmulPreferenceDestroy(p);
  }
};
using Product = std::unique_ptr<cublasLtMatmulDescOpaque_t, Destroy>;
using Layout = std::unique_ptr<cublasLtMatrixLayoutOpaque_t, Destroy>;
using Preference = std::unique_ptr<cublasLtMatmulPreferenceOpaque_t, Destroy>;

template <typename T>
void set(const Product& p, cublasLtMatmulDescAttributes_t attribute,
         const T& value) {
  MUSIC_CUDA(cublasLtMatmulDescSetAttribute(p.get(), attribute, &value,
                                            sizeof value));
}
template <typename T>
void set(const Preference& p, cublasLtMatmulPreferenceAttributes_t attribute,
         const T& value) {
  MUSIC_CUDA(cublasLtMatmulPreferenceSetAttribute(p.get(), attribute, &value,
                                                  sizeof value));
}

cudaDataType_t type_of(DType dtype) {
  return dtype == DType::kF16    ? CUDA_R_16F
         : dtype == DType::kBF16 ? CUDA_R_16BF
                                 : CUDA_R_32F;
}

// The library's matrices are column-major: a row-major matrix is its own
// transpose there, with rows and columns exchanged.
Layout layout(DType dtype, std::int64_t rows, std::int64_t columns,
              std::int64_t ld) {
  cublasLtMatrixLayout_t l = nullptr;
  MUSIC_CUDA(cublasLtMatrixLayoutCreate(&l, type_of(dtype),
                                        static_cast<std::uint64_t>(columns),
                                        static_cast<std::uint64_t>(rows), ld));
  return Layout(l);
}

// What every row of a matrix is a multiple of, at most `most` bytes.
std::uint32_t row_alignment(std::int64_t ld, DType dtype, int most) {
  const std::int64_t bytes = ld * static_cast<std::int64_t>(size_of(dtype));
  std::int64_t a = most;
  while (bytes % a != 0) a /= 2;
  return static_cast<std::uint32_t>(a);
}

}  // namespace

// C = op(A) op(B) of rows is C^T = op(B)^T op(A)^T of columns: the library's
// first operand is B, its second A.
struct Gemm::Body {
  GemmSpec spec;
  Layout a, b, c;
  Product product;
  cublasLtMatmulAlgo_t algorithm{};
  std::size_t workspace = 0;

  // False when the library has no algorithm.
  bool choose(cublasComputeType_t compute) {
    cublasLtMatmulDesc_t d = nullptr;
    MUSIC_CUDA(cublasLtMatmulDescCreate(&d, compute, CUDA_R_32F));
    product.reset(d);
    const auto operation = [](bool transposed) {
      return static_cast<std::int32_t>(transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
    };
    set(product, CUBLASLT_MATMUL_DESC_TRANSA, operation(spec.transpose_b));
    set(product, CUBLASLT_MATMUL_DESC_TRANSB, operation(spec.transpose_a));
    if (spec.bias) {
      set(product, CUBLASLT_MATMUL_DESC_EPILOGUE,
          static_cast<std::uint32_t>(CUBLASLT_EPILOGUE_BIAS));
      // run() sets the real one. The choice depends on its alignment alone.
      set(product, CUBLASLT_MATMUL_DESC_BIAS_POINTER,
          reinterpret_cast<const void*>(std::uintptr_t{kBiasAlignment}));
    }

    cublasLtMatmulPreference_t p = nullptr;
    MUSIC_CUDA(cublasLtMatmulPreferenceCreate(&p));
    const Preference preference(p);
    set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
        std::uint64_t{device_info().major >= 9 ? 32u << 20 : 8u << 20});
    // Parts of a sum over k are added in fp32, never in the type of C.
    set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
        static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
    const auto align = [&](cublasLtMatmulPreferenceAttributes_t attribute,
                           std::int64_t ld, DType dtype) {
      set(preference, attribute, row_alignment(ld, dtype, spec.alignment));
    };
    align(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, spec.ldb, spec.input);
    align(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, spec.lda, spec.input);
    align(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, spec.ldc, spec.output);
    align(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, spec.ldc, spec.output);

    cublasLtMatmulHeuristicResult_t found[8];
    int count = 0;
    const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
        handle(), product.get(), b.get(), a.get(), c.get(), c.get(),
        preference.get(), 8, found, &count);
    if (status == CUBLAS_STATUS_NOT_SUPPORTED) return false;
    check(status, "cublasLtMatmulAlgoGetHeuristic", __FILE__, __LINE__);
    for (int i = 0; i < count; ++i) {
      if (found[i].state != CUBLAS_STATUS_SUCCESS) continue;
      algorithm = found[i].algo;
      workspace = found[i].workspaceSize;
      return true;
    }
    return false;
  }
};

Gemm::Gemm(const GemmSpec& spec) : body_(std::make_unique<Body>()) {
  check_gemm(spec);
  Body& body = *body_;
  body.spec = spec;
  body.a = spec.transpose_a ? layout(spec.input, spec.k, spec.m, spec.lda)
                            : layout(spec.input, spec.m, spec.k, spec.lda);
  body.b = spec.transpose_b ? layout(spec.input, spec.n, spec.k, spec.ldb)
                            : layout(spec.input, spec.k, spec.n, spec.ldb);
  body.c = layout(spec.output, spec.m, spec.n, spec.ldc);
  // fp32 products either way. The second asks for plain instructions, which
  // take rows that tensor cores cannot.
  if (body.choose(CUBLAS_COMPUTE_32F) ||
      body.choose(CUBLAS_COMPUTE_32F_PEDANTIC))
    return;
  const DeviceInfo device = device_info();
  throw error(ExitCode::kUsage,
              "[gemm] cuBLASLt {} has no algorithm on {} (compute capability "
              "{}.{}) for {} {}x{}x{} to {}, leading dimensions {}, {}, {}{}",
              cublasLtGetVersion(), device.name, device.major, device.minor,
              name_of(spec.input), spec.m, spec.n, spec.k, name_of(spec.output),
              spec.lda, spec.ldb, spec.ldc, spec.bias ? ", with bias" : "");
}
Gemm::Gemm(Gemm&&) noexcept = default;
Gemm& Gemm::operator=(Gemm&&) noexcept = default;
Gemm::~Gemm() = default;

std::size_t Gemm::workspace_bytes() const { return body_->workspace; }

void Gemm::run(const void* a, const void* b, void* c, const void* bias,
               float alpha, float beta, void* workspace, void* stream) const {
  const Body& body = *body_;
  check_gemm(body.spec, a, b, c, bias);
  if (bias) set(body.product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  MUSIC_CUDA(cublasLtMatmul(
      handle(), body.product.get(), &alpha, b, body.b.get(), a, body.a.get(),
      &beta, c, body.c.get(), c, body.c.get(), &body.algorithm, workspace,
      body.workspace, static_cast<cudaStream_t>(stream)));
}

}  // namespace music::cuda
