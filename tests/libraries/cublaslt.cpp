// cuBLASLt by plain loops over column-major matrices (libraries.h).

#include <cublasLt.h>

#include <cstring>

#include "tests/emulator/reals.h"
#include "tests/libraries/libraries.h"

using namespace music;
using namespace music::libraries;

namespace {

struct Matrix {
  cudaDataType type;
  std::uint64_t rows, columns;
  std::int64_t ld;
};
struct Operation {
  cublasComputeType_t compute;
  cudaDataType scale;
  std::int32_t transpose_a = CUBLAS_OP_N, transpose_b = CUBLAS_OP_N;
  std::uint32_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const void* bias = nullptr;
};
struct Preference {
  std::uint64_t workspace = 0;
  std::uint32_t reduction = CUBLASLT_REDUCTION_SCHEME_MASK;
  std::uint32_t a = 256, b = 256, c = 256, d = 256;
};
// What an algorithm was chosen for.
struct Algorithm {
  std::uint32_t a, b, c, d, bias;
  cublasComputeType_t compute;
};
static_assert(sizeof(Algorithm) <= sizeof(cublasLtMatmulAlgo_t));

template <typename T, typename P>
T& as(P p) {
  return *reinterpret_cast<T*>(p);
}
template <typename T>
bool take(T& to, const void* from, std::size_t size) {
  if (size != sizeof to) return false;
  std::memcpy(&to, from, size);
  return true;
}
cublasStatus_t valid(bool ok) {
  return ok ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}
DType dtype_of(cudaDataType t) {
  return t == CUDA_R_16F    ? DType::kF16
         : t == CUDA_R_16BF ? DType::kBF16
                            : DType::kF32;
}
bool aligned_to(const void* p, std::uint32_t bytes) {
  return reinterpret_cast<std::uintptr_t>(p) % bytes == 0;
}

// Whether the matrices fit together and their types have a product.
bool possible(const Operation& op, const Matrix& a, const Matrix& b,
              const Matrix& c, const Matrix& d) {
  const bool at = op.transpose_a == CUBLAS_OP_T,
             bt = op.transpose_b == CUBLAS_OP_T;
  const auto fits = [](const Matrix& m) {
    return m.ld >= static_cast<std::int64_t>(m.rows);
  };
  return (at ? a.columns : a.rows) == d.rows &&
         (bt ? b.rows : b.columns) == d.columns &&
         (at ? a.rows : a.columns) == (bt ? b.columns : b.rows) &&
         c.rows == d.rows && c.columns == d.columns && c.type == d.type &&
         a.type == b.type && (d.type == a.type || d.type == CUDA_R_32F) &&
         fits(a) && fits(b) && fits(c) && fits(d) && op.scale == CUDA_R_32F &&
         (op.compute == CUBLAS_COMPUTE_32F ||
          op.compute == CUBLAS_COMPUTE_32F_PEDANTIC) &&
         (op.epilogue == CUBLASLT_EPILOGUE_DEFAULT ||
          op.epilogue == CUBLASLT_EPILOGUE_BIAS);
}

}  // namespace

extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  static int library;
  *handle = reinterpret_cast<cublasLtHandle_t>(&library);
  return CUBLAS_STATUS_SUCCESS;
}
std::size_t cublasLtGetVersion() { return 130000; }
const char* cublasLtGetStatusName(cublasStatus_t status) {
  return status == CUBLAS_STATUS_INVALID_VALUE ? "CUBLAS_STATUS_INVALID_VALUE"
                                               : "CUBLAS_STATUS_OTHER";
}
const char* cublasLtGetStatusString(cublasStatus_t) { return "plain loops"; }

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout,
                                          cudaDataType type, std::uint64_t rows,
                                          std::uint64_t columns,
                                          std::int64_t ld) {
  *layout = reinterpret_cast<cublasLtMatrixLayout_t>(
      new Matrix{type, rows, columns, ld});
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  delete &as<Matrix>(layout);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* desc,
                                        cublasComputeType_t compute,
                                        cudaDataType scale) {
  *desc = reinterpret_cast<cublasLtMatmulDesc_t>(
      new Operation{.compute = compute, .scale = scale});
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc) {
  delete &as<Operation>(desc);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(
    cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t attribute,
    const void* from, std::size_t size) {
  Operation& op = as<Operation>(desc);
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
      return valid(take(op.transpose_a, from, size));
    case CUBLASLT_MATMUL_DESC_TRANSB:
      return valid(take(op.transpose_b, from, size));
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      return valid(take(op.epilogue, from, size));
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      return valid(take(op.bias, from, size));
    default:
      return CUBLAS_STATUS_NOT_SUPPORTED;
  }
}
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* p) {
  *p = reinterpret_cast<cublasLtMatmulPreference_t>(new ::Preference);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t p) {
  delete &as<::Preference>(p);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(
    cublasLtMatmulPreference_t p,
    cublasLtMatmulPreferenceAttributes_t attribute, const void* from,
    std::size_t size) {
  ::Preference& to = as<::Preference>(p);
  switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
      return valid(take(to.workspace, from, size));
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
      return valid(take(to.reduction, from, size));
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
      return valid(take(to.a, from, size));
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
      return valid(take(to.b, from, size));
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
      return valid(take(to.c, from, size));
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
      return valid(take(to.d, from, size));
    default:
      return CUBLAS_STATUS_NOT_SUPPORTED;
  }
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(
    cublasLtHandle_t, cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a,
    cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
    cublasLtMatrixLayout_t d, cublasLtMatmulPreference_t preference, int wanted,
    cublasLtMatmulHeuristicResult_t* found, int* count) {
  ++calls.heuristics;
  const Operation& op = as<Operation>(desc);
  const ::Preference& p = as<::Preference>(preference);
  *count = 0;
  if (!possible(op, as<Matrix>(a), as<Matrix>(b), as<Matrix>(c), as<Matrix>(d)))
    return CUBLAS_STATUS_INVALID_VALUE;
  // Sums in the type of C would lose what fp32 sums keep.
  if (wanted < 2 || p.workspace < kWorkspace ||
      p.reduction != CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE)
    return CUBLAS_STATUS_INVALID_VALUE;
  if (settings.no_algorithm ||
      (settings.no_tensor_cores && op.compute == CUBLAS_COMPUTE_32F))
    return CUBLAS_STATUS_NOT_SUPPORTED;
  std::uint32_t bias = 1;
  while (op.bias && bias < 256 && aligned_to(op.bias, 2 * bias)) bias *= 2;
  const Algorithm algorithm = {p.a, p.b, p.c, p.d, bias, op.compute};
  found[0] = found[1] = {};
  found[0].state = CUBLAS_STATUS_NOT_SUPPORTED;
  std::memcpy(&found[1].algo, &algorithm, sizeof algorithm);
  found[1].workspaceSize = kWorkspace;
  found[1].state = CUBLAS_STATUS_SUCCESS;
  *count = 2;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t desc,
                              const void* alpha, const void* a,
                              cublasLtMatrixLayout_t a_layout, const void* b,
                              cublasLtMatrixLayout_t b_layout, const void* beta,
                              const void* c, cublasLtMatrixLayout_t c_layout,
                              void* d, cublasLtMatrixLayout_t d_layout,
                              const cublasLtMatmulAlgo_t* algo, void* workspace,
                              std::size_t workspace_bytes, cudaStream_t) {
  ++calls.products;
  const Operation& op = as<Operation>(desc);
  const Matrix &la = as<Matrix>(a_layout), &lb = as<Matrix>(b_layout),
               &lc = as<Matrix>(c_layout), &ld = as<Matrix>(d_layout);
  Algorithm chosen;
  std::memcpy(&chosen, algo, sizeof chosen);
  const bool has_bias = op.epilogue == CUBLASLT_EPILOGUE_BIAS;
  if (!possible(op, la, lb, lc, ld) || chosen.compute != op.compute ||
      !aligned_to(a, chosen.a) || !aligned_to(b, chosen.b) ||
      !aligned_to(c, chosen.c) || !aligned_to(d, chosen.d) ||
      (has_bias && (!op.bias || !aligned_to(op.bias, chosen.bias))) ||
      workspace_bytes < kWorkspace || !aligned_to(workspace, 16))
    return CUBLAS_STATUS_INVALID_VALUE;
  const std::int64_t k = static_cast<std::int64_t>(
      op.transpose_a == CUBLAS_OP_T ? la.rows : la.columns);
  const double scale = static_cast<double>(*static_cast<const float*>(alpha));
  const double keep = static_cast<double>(*static_cast<const float*>(beta));
  std::memset(workspace, 0xFF, kWorkspace);
  for (std::int64_t j = 0; j < static_cast<std::int64_t>(ld.columns); ++j)
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(ld.rows); ++i) {
      double sum = 0;
      for (std::int64_t l = 0; l < k; ++l)
        sum += emulator::real(a, dtype_of(la.type),
                              op.transpose_a == CUBLAS_OP_T ? l + i * la.ld
                                                            : i + l * la.ld) *
               emulator::real(b, dtype_of(lb.type),
                              op.transpose_b == CUBLAS_OP_T ? j + l * lb.ld
                                                            : l + j * lb.ld);
      sum *= scale;
      if (keep != 0)
        sum += keep * emulator::real(c, dtype_of(lc.type), i + j * lc.ld);
      if (has_bias) sum += emulator::real(op.bias, dtype_of(ld.type), i);
      emulator::set_real(d, dtype_of(ld.type), i + j * ld.ld, sum);
    }
  return CUBLAS_STATUS_SUCCESS;
}

}  // extern "C"
