#pragma once
// Stands in for NVIDIA's header when engine/cuda is compiled as C++: kernels
// run on the CPU, each block's threads as fibers (executor.h), and the runtime
// calls that engine/cuda/runtime.cpp makes work on host memory (runtime.cpp).
// So CI runs every kernel of ours, with sanitizers, on machines without a GPU.
//
// Stricter than a device where that finds mistakes: device memory is out of
// reach of host code, shared memory starts as NaN, a barrier that some threads
// never reach is an error, and there are no atomics on floating point (their
// order would differ from run to run).

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <type_traits>
#include <utility>

#include "tests/emulator/executor.h"

// ---- the language
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

#define MUSIC_SHARED(type, name, count)                          \
  static char name##_key;                                        \
  type* const name = static_cast<type*>(::music::emulator::shared( \
      &name##_key, sizeof(type) * static_cast<std::size_t>(count)))

#define MUSIC_MOST_BLOCKS 3

struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
using dim3 = music::emulator::Dim3;

namespace music::emulator {
// Reads as the running thread's own value.
template <Dim3 Thread::*kOf, unsigned Dim3::*kAxis>
struct Own {
  operator unsigned() const { return current->*kOf.*kAxis; }
};
template <Dim3 Thread::*kOf>
struct OwnDim3 {
  Own<kOf, &Dim3::x> x;
  Own<kOf, &Dim3::y> y;
  Own<kOf, &Dim3::z> z;
};
}  // namespace music::emulator
inline constexpr music::emulator::OwnDim3<&music::emulator::Thread::thread>
    threadIdx;
inline constexpr music::emulator::OwnDim3<&music::emulator::Thread::block>
    blockIdx;
inline constexpr music::emulator::OwnDim3<&music::emulator::Thread::block_size>
    blockDim;
inline constexpr music::emulator::OwnDim3<&music::emulator::Thread::grid>
    gridDim;
constexpr int warpSize = 32;

inline void __syncthreads() { music::emulator::block_barrier(); }
inline void __syncwarp(unsigned mask = 0xFFFFFFFFu) {
  music::emulator::warp_exchange(mask, 0, 0);
}
inline void __threadfence() {}
inline void __threadfence_block() {}

namespace music::emulator {
// Value of lane `source` as every lane of the mask had it.
template <typename T>
T shuffle(unsigned mask, T value, int source) {
  static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>);
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = warp_exchange(mask, bits, source);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
inline int lane() { return current->lane; }
}  // namespace music::emulator

template <typename T>
T __shfl_sync(unsigned mask, T v, int lane) {
  return music::emulator::shuffle(mask, v, lane & 31);
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T v, int bits) {
  return music::emulator::shuffle(mask, v, music::emulator::lane() ^ bits);
}
template <typename T>
T __shfl_down_sync(unsigned mask, T v, unsigned delta) {
  const int from = music::emulator::lane() + static_cast<int>(delta);
  return music::emulator::shuffle(mask, v,
                                  from < 32 ? from : music::emulator::lane());
}
template <typename T>
T __shfl_up_sync(unsigned mask, T v, unsigned delta) {
  const int from = music::emulator::lane() - static_cast<int>(delta);
  return music::emulator::shuffle(mask, v,
                                  from >= 0 ? from : music::emulator::lane());
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
  return music::emulator::warp_ballot(mask, predicate != 0);
}
inline int __any_sync(unsigned mask, int predicate) {
  return __ballot_sync(mask, predicate) != 0;
}
inline int __all_sync(unsigned mask, int predicate) {
  return __ballot_sync(mask, predicate) == mask;
}

template <typename T>
T atomicAdd(T* at, std::type_identity_t<T> v) {
  static_assert(std::is_integral_v<T>, "floating-point atomics have no order");
  const T old = *at;
  *at = old + v;
  return old;
}
template <typename T>
T atomicMax(T* at, std::type_identity_t<T> v) {
  const T old = *at;
  *at = old < v ? v : old;
  return old;
}
template <typename T>
T atomicOr(T* at, std::type_identity_t<T> v) {
  const T old = *at;
  *at = old | v;
  return old;
}
template <typename T>
T atomicExch(T* at, std::type_identity_t<T> v) {
  const T old = *at;
  *at = v;
  return old;
}
template <typename T>
T __ldg(const T* p) { return *p; }
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }

// ---- the runtime
enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInsufficientDriver = 35,
  cudaErrorNoDevice = 100,
  cudaErrorNotReady = 600,
  cudaErrorStreamCaptureUnsupported = 900,
  cudaErrorStreamCaptureUnjoined = 904,
  cudaErrorStreamCaptureIsolation = 905,
};
enum cudaMemcpyKind { cudaMemcpyDefault = 4 };
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal = 1 };
constexpr unsigned cudaEventDefault = 0, cudaEventDisableTiming = 2;
using cudaStream_t = music::emulator::Stream*;
using cudaEvent_t = music::emulator::Event*;
using cudaGraph_t = music::emulator::Work*;
using cudaGraphExec_t = music::emulator::Work*;

struct cudaDeviceProp {
  char name[256];
  int major, minor, multiProcessorCount;
  struct { char bytes[16]; } uuid;
};
struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  std::size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
};

const char* cudaGetErrorName(cudaError_t status);
const char* cudaGetErrorString(cudaError_t status);
cudaError_t cudaGetLastError();
cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaDriverGetVersion(int* version);
cudaError_t cudaRuntimeGetVersion(int* version);
cudaError_t cudaGetDevice(int* device);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int device);
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total);
cudaError_t cudaMalloc(void** data, std::size_t bytes);
cudaError_t cudaFree(void* data);
cudaError_t cudaMallocHost(void** data, std::size_t bytes);
cudaError_t cudaFreeHost(void* data);
cudaError_t cudaMemset(void* data, int value, std::size_t bytes);
cudaError_t cudaMemsetAsync(void* data, int value, std::size_t bytes,
                            cudaStream_t stream);
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes,
                            cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from,
                              std::size_t from_pitch, std::size_t width,
                              std::size_t rows, cudaMemcpyKind kind,
                              cudaStream_t stream);
cudaError_t cudaStreamCreate(cudaStream_t* stream);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event,
                                unsigned flags);
cudaError_t cudaStreamBeginCapture(cudaStream_t stream,
                                   cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long flags);
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventQuery(cudaEvent_t event);
cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t from, cudaEvent_t to);

template <typename... Parameters, typename... Args>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config,
                               void (*kernel)(Parameters...), Args&&... args) {
  const dim3 grid = config->gridDim, block = config->blockDim;
  return music::emulator::queue(
             config->stream,
             [=, copies = std::tuple<std::decay_t<Parameters>...>(
                     std::forward<Args>(args)...)] {
               music::emulator::run_grid(
                   grid, block, [&] { std::apply(kernel, copies); });
             })
             ? cudaSuccess
             : cudaErrorStreamCaptureUnsupported;
}
