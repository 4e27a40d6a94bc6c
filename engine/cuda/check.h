#pragma once
// Calls of the CUDA libraries, checked: an error is one line that names what the
// call answered, the expression, the file and the line. gemm.cpp and
// convolution.cpp add a check() for the answers of cuBLASLt and cuDNN.

#include <cuda_runtime.h>

#include "engine/core/error.h"

namespace music::cuda {

[[noreturn]] inline void fail(const char* answer, const char* detail,
                              const char* expression, const char* file,
                              int line) {
  throw error(ExitCode::kInternal, "[cuda] {} ({}) from {} at {}:{}", answer,
              detail, expression, file, line);
}

inline void check(cudaError_t status, const char* expression, const char* file,
                  int line) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // not sticky errors are reported once
  fail(cudaGetErrorName(status), cudaGetErrorString(status), expression, file,
       line);
}

}  // namespace music::cuda

#define MUSIC_CUDA(expression) \
  ::music::cuda::check((expression), #expression, __FILE__, __LINE__)
