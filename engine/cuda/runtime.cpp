#include "engine/core/device_runtime.h"

#include <cuda_runtime.h>
#include <nvtx3/nvToolsExt.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "engine/cuda/check.h"

namespace music::cuda {
namespace {

cudaStream_t stream_of(void* stream) { return static_cast<cudaStream_t>(stream); }
cudaEvent_t event_of(void* event) { return static_cast<cudaEvent_t>(event); }

// The lowest compute capability this build has code for: newer devices run it,
// or the driver compiles the PTX beside it.
constexpr int lowest_architecture() {
  constexpr std::array kArchitectures = {MUSIC_CUDA_ARCHITECTURES};
  int lowest = kArchitectures[0];
  for (const int a : kArchitectures) lowest = a < lowest ? a : lowest;
  return lowest;
}

double mib(std::size_t bytes) {
  return static_cast<double>(bytes) / (1 << 20);
}

std::string version(int v) {
  return fmt::format("{}.{}", v / 1000, v % 1000 / 10);
}

}  // namespace

int device_count() noexcept {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
  cudaGetLastError();
  return 0;
}

std::string why_no_device() {
  int count = 0, driver = 0, runtime = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  cudaGetLastError();
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  if (status == cudaErrorInsufficientDriver)
    return driver == 0
               ? fmt::format("no NVIDIA driver is loaded; CUDA {} needs one",
                             version(runtime))
               : fmt::format("the driver supports CUDA {}, this build needs {}",
                             version(driver), version(runtime));
  if (status != cudaSuccess && status != cudaErrorNoDevice)
    return cudaGetErrorString(status);
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  return visible ? fmt::format("no CUDA device is visible "
                               "(CUDA_VISIBLE_DEVICES is \"{}\")", visible)
                 : std::string("no CUDA device was found");
}

void select_device(int index) {
  const int count = device_count();
  if (count == 0)
    throw error(ExitCode::kUsage, "[cuda] {}: use --device cpu",
                why_no_device());
  if (index < 0 || index >= count)
    throw error(ExitCode::kUsage, "[cuda] device {} of {}: expected 0 to {}",
                index, count, count - 1);
  cudaDeviceProp p;
  MUSIC_CUDA(cudaGetDeviceProperties(&p, index));
  if (10 * p.major + p.minor < lowest_architecture())
    throw error(ExitCode::kUsage,
                "[cuda] {} has compute capability {}.{}, this build has code "
                "for {}.{} and later", p.name, p.major, p.minor,
                lowest_architecture() / 10, lowest_architecture() % 10);
  MUSIC_CUDA(cudaSetDevice(index));
}

DeviceInfo device_info() {
  DeviceInfo info;
  int device = 0;
  MUSIC_CUDA(cudaGetDevice(&device));
  cudaDeviceProp p;
  MUSIC_CUDA(cudaGetDeviceProperties(&p, device));
  info.name = p.name;
  for (const char c : p.uuid.bytes)
    info.id += fmt::format("{:02x}", static_cast<unsigned char>(c));
  info.major = p.major, info.minor = p.minor;
  info.multiprocessors = p.multiProcessorCount;
  MUSIC_CUDA(cudaMemGetInfo(&info.free_bytes, &info.total_bytes));
  MUSIC_CUDA(cudaDriverGetVersion(&info.driver));
  MUSIC_CUDA(cudaRuntimeGetVersion(&info.runtime));
  return info;
}

void* allocate(std::size_t bytes) {
  void* data = nullptr;
  const cudaError_t status = cudaMalloc(&data, bytes);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    const DeviceInfo info = device_info();
    throw error(ExitCode::kUsage,
                "[memory] cannot allocate {:.1f} MiB on {}: {:.1f} of {:.1f} "
                "MiB are free; use a smaller batch",
                mib(bytes), info.name, mib(info.free_bytes),
                mib(info.total_bytes));
  }
  check(status, "cudaMalloc", __FILE__, __LINE__);
  MUSIC_CUDA(cudaMemset(data, 0, bytes));
  return data;
}

// An error here would be one that an earlier call already reported.
void release(void* data) noexcept { cudaFree(data); }

void* allocate_pinned(std::size_t bytes) {
  void* data = nullptr;
  const cudaError_t status = cudaMallocHost(&data, bytes);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    throw error(ExitCode::kUsage,
                "[memory] cannot page-lock {:.1f} MiB of host memory (ulimit -l)",
                mib(bytes));
  }
  check(status, "cudaMallocHost", __FILE__, __LINE__);
  std::memset(data, 0, bytes);
  return data;
}

void release_pinned(void* data) noexcept { cudaFreeHost(data); }

void copy(void* to, const void* from, std::size_t bytes, void* stream) {
  if (bytes == 0) return;
  MUSIC_CUDA(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault,
                             stream_of(stream)));
}

void copy_rows(Pitched to, Pitched from, std::int64_t row_bytes,
               std::int64_t rows, void* stream) {
  if (row_bytes == 0 || rows == 0) return;
  MUSIC_CUDA(cudaMemcpy2DAsync(
      to.data, static_cast<std::size_t>(to.pitch), from.data,
      static_cast<std::size_t>(from.pitch), static_cast<std::size_t>(row_bytes),
      static_cast<std::size_t>(rows), cudaMemcpyDefault, stream_of(stream)));
}

void set(void* data, unsigned char value, std::size_t bytes, void* stream) {
  if (bytes == 0) return;
  MUSIC_CUDA(cudaMemsetAsync(data, value, bytes, stream_of(stream)));
}

void synchronize(void* stream) {
  MUSIC_CUDA(cudaStreamSynchronize(stream_of(stream)));
}

Stream::Stream() {
  cudaStream_t stream = nullptr;
  MUSIC_CUDA(cudaStreamCreate(&stream));
  stream_ = stream;
}
Stream::~Stream() { cudaStreamDestroy(stream_of(stream_)); }

Event::Event(bool timed) {
  cudaEvent_t event = nullptr;
  MUSIC_CUDA(cudaEventCreateWithFlags(
      &event, timed ? cudaEventDefault : cudaEventDisableTiming));
  event_ = event;
}
Event::~Event() { cudaEventDestroy(event_of(event_)); }
void Event::record(void* stream) {
  MUSIC_CUDA(cudaEventRecord(event_of(event_), stream_of(stream)));
}
void Event::wait_in(void* stream) const {
  MUSIC_CUDA(cudaStreamWaitEvent(stream_of(stream), event_of(event_), 0));
}
void Event::synchronize() const {
  MUSIC_CUDA(cudaEventSynchronize(event_of(event_)));
}
bool Event::reached() const {
  const cudaError_t status = cudaEventQuery(event_of(event_));
  if (status == cudaErrorNotReady) return false;
  check(status, "cudaEventQuery", __FILE__, __LINE__);
  return true;
}
double Event::milliseconds(const Event& from, const Event& to) {
  float ms = 0;
  MUSIC_CUDA(cudaEventElapsedTime(&ms, event_of(from.event_),
                                  event_of(to.event_)));
  return static_cast<double>(ms);
}

CapturedGraph::~CapturedGraph() {
  if (executable_) cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(executable_));
}
void CapturedGraph::begin(void* stream) {
  MUSIC_CUDA(cudaStreamBeginCapture(stream_of(stream),
                                    cudaStreamCaptureModeThreadLocal));
}
void CapturedGraph::end(void* stream) {
  cudaGraph_t graph = nullptr;
  MUSIC_CUDA(cudaStreamEndCapture(stream_of(stream), &graph));
  cudaGraphExec_t executable = nullptr;
  const cudaError_t status = cudaGraphInstantiate(&executable, graph, 0);
  cudaGraphDestroy(graph);
  check(status, "cudaGraphInstantiate", __FILE__, __LINE__);
  executable_ = executable;
}
void CapturedGraph::launch(void* stream) {
  MUSIC_CUDA(cudaGraphLaunch(static_cast<cudaGraphExec_t>(executable_),
                             stream_of(stream)));
}

namespace {
bool ranges_on() {
  static const bool on = [] {
    const char* v = std::getenv("MUSIC_NVTX");
    return v && std::string_view(v) == "1";
  }();
  return on;
}
}  // namespace

Range::Range(const char* name) : open_(ranges_on()) {
  if (open_) nvtxRangePushA(name);
}
Range::~Range() {
  if (open_) nvtxRangePop();
}

}  // namespace music::cuda
