// The runtime calls of the emulated device. Its memory is one reserved range
// that only kernels and copies may touch: host code that dereferences a device
// pointer is stopped by the processor, as it would be with a device.

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>

#include "engine/core/error.h"
#include "tests/emulator/cuda_runtime.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(a, n) ((void)(a), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(a, n) ((void)(a), (void)(n))
#endif

namespace music::emulator {

struct Event {
  std::chrono::steady_clock::time_point time;
  Work* recording = nullptr;  // recorded during this capture
  Stream* origin = nullptr;   // of the capture
  Stream* stream = nullptr;   // that recorded it
  std::size_t given = 0;      // to the stream by then
};

namespace {

constexpr std::size_t kReserved = std::size_t{64} << 30;
constexpr std::size_t kAlign = 256, kGap = 256;

class DeviceMemory {
 public:
  DeviceMemory() {
    void* p = mmap(nullptr, kReserved, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    MUSIC_CHECK(p != MAP_FAILED, "[emulator] cannot reserve device memory");
    base_ = static_cast<char*>(p);
  }
  void* take(std::size_t bytes) {
    const std::size_t size = (bytes + kAlign - 1) / kAlign * kAlign + kGap;
    if (used_ + bytes > total) return nullptr;
    std::size_t at = 0;
    for (const auto& [offset, block] : blocks_) {
      if (offset - at >= size) break;
      at = offset + block.size;
    }
    if (at + size > kReserved) return nullptr;
    blocks_[at] = {size, bytes};
    used_ += bytes;
    const std::size_t page = 4096;
    const std::size_t end = (at + size + page - 1) / page * page;
    if (end > mapped_) {
      mapped_ = end;
      if (depth_ > 0) protect(PROT_READ | PROT_WRITE);
    }
    ASAN_POISON_MEMORY_REGION(base_ + at, size);
    ASAN_UNPOISON_MEMORY_REGION(base_ + at, bytes);
    return base_ + at;
  }
  void release(void* p) {
    const auto it = blocks_.find(static_cast<std::size_t>(
        static_cast<char*>(p) - base_));
    MUSIC_CHECK(it != blocks_.end(), "[emulator] cudaFree of no allocation");
    ASAN_POISON_MEMORY_REGION(p, it->second.bytes);
    used_ -= it->second.bytes;
    blocks_.erase(it);
  }
  void open() {
    if (depth_++ == 0) protect(PROT_READ | PROT_WRITE);
  }
  void close() {
    if (--depth_ == 0) protect(PROT_NONE);
  }
  std::size_t free() const { return total - std::min(total, used_); }

  std::size_t total = std::size_t{4} << 30;

 private:
  void protect(int how) {
    if (mapped_ > 0) mprotect(base_, mapped_, how);
  }
  struct Allocation { std::size_t size, bytes; };
  char* base_;
  std::map<std::size_t, Allocation> blocks_;
  std::size_t used_ = 0, mapped_ = 0;
  int depth_ = 0;
};

// Never destroyed: buffers of static storage are released after it would be.
DeviceMemory& memory() {
  static auto* m = new DeviceMemory;
  return *m;
}

int devices = 1, capturing = 0;
std::vector<Stream*> joined;  // to captures

struct Access {
  Access() { memory().open(); }
  ~Access() { memory().close(); }
};

}  // namespace

bool queue(Stream* stream, std::function<void()> work) {
  if (stream && stream->recording) {
    stream->recording->push_back(std::move(work));
    ++stream->given;
    return true;
  }
  if (capturing > 0 && !stream) return false;
  const Access access;
  work();
  return true;
}

void set_device_memory(std::size_t bytes) { memory().total = bytes; }
void set_device_count(int count) { devices = count; }

}  // namespace music::emulator

using namespace music::emulator;

namespace {
cudaError_t queued(bool ok) {
  return ok ? cudaSuccess : cudaErrorStreamCaptureUnsupported;
}
// What may not happen while a stream captures.
cudaError_t outside_capture() { return queued(capturing == 0); }
}  // namespace

const char* cudaGetErrorName(cudaError_t status) {
  switch (status) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorInsufficientDriver: return "cudaErrorInsufficientDriver";
    case cudaErrorNoDevice: return "cudaErrorNoDevice";
    case cudaErrorNotReady: return "cudaErrorNotReady";
    case cudaErrorStreamCaptureUnsupported:
      return "cudaErrorStreamCaptureUnsupported";
    case cudaErrorStreamCaptureUnjoined:
      return "cudaErrorStreamCaptureUnjoined";
  }
  return "?";
}
const char* cudaGetErrorString(cudaError_t status) {
  return cudaGetErrorName(status);
}
cudaError_t cudaGetLastError() { return cudaSuccess; }
cudaError_t cudaGetDeviceCount(int* count) {
  *count = devices;
  return devices > 0 ? cudaSuccess : cudaErrorNoDevice;
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  return device < devices ? cudaSuccess : cudaErrorInvalidValue;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int) {
  *p = {"Emulated", 9, 0, 2, {"emulated"}};
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  *free = memory().free();
  *total = memory().total;
  return cudaSuccess;
}
cudaError_t cudaMalloc(void** data, std::size_t bytes) {
  if (capturing > 0) return cudaErrorStreamCaptureUnsupported;
  *data = memory().take(bytes);
  return *data ? cudaSuccess : cudaErrorMemoryAllocation;
}
cudaError_t cudaFree(void* data) {
  if (data) memory().release(data);
  return cudaSuccess;
}
cudaError_t cudaMallocHost(void** data, std::size_t bytes) {
  *data = std::malloc(bytes);
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* data) {
  std::free(data);
  return cudaSuccess;
}
cudaError_t cudaMemset(void* data, int value, std::size_t bytes) {
  return cudaMemsetAsync(data, value, bytes, nullptr);
}
cudaError_t cudaMemsetAsync(void* data, int value, std::size_t bytes,
                            cudaStream_t stream) {
  return queued(queue(stream, [=] { std::memset(data, value, bytes); }));
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes,
                            cudaMemcpyKind, cudaStream_t stream) {
  return queued(queue(stream, [=] { std::memcpy(to, from, bytes); }));
}
cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from,
                              std::size_t from_pitch, std::size_t width,
                              std::size_t rows, cudaMemcpyKind,
                              cudaStream_t stream) {
  if (width > to_pitch || width > from_pitch) return cudaErrorInvalidValue;
  return queued(queue(stream, [=] {
    for (std::size_t i = 0; i < rows; ++i)
      std::memcpy(static_cast<char*>(to) + i * to_pitch,
                  static_cast<const char*>(from) + i * from_pitch, width);
  }));
}
cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  *stream = new Stream;
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t) { return outside_capture(); }
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event,
                                unsigned) {
  // Recorded in a capture: it means nothing outside, and takes others in.
  if (event->recording) {
    if (!stream || !event->origin->recording ||
        event->origin->recording != event->recording)
      return cudaErrorStreamCaptureUnsupported;
    if (!stream->recording) {
      *stream = {event->recording, event->origin};
      joined.push_back(stream);
    }
    if (stream == event->origin)
      event->stream->waited = std::max(event->stream->waited, event->given);
    return cudaSuccess;
  }
  return stream && stream->recording ? cudaErrorStreamCaptureUnsupported
                                     : cudaSuccess;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  if (!stream || stream->recording) return cudaErrorInvalidValue;
  *stream = {new Work, stream};
  ++capturing;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = stream->recording;
  bool complete = true;
  for (Stream* s : joined)
    if (s->origin == stream) {
      complete = complete && s->given == s->waited;
      *s = {};
    }
  std::erase_if(joined, [](const Stream* s) { return !s->recording; });
  *stream = {};
  --capturing;
  return complete ? cudaSuccess : cudaErrorStreamCaptureUnjoined;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long) {
  *executable = new Work(*graph);
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  bool ok = true;
  for (const auto& work : *executable) ok = ok && queue(stream, work);
  return queued(ok);
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new Event;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  *event = {std::chrono::steady_clock::now()};
  if (stream && stream->recording) {
    event->recording = stream->recording;
    event->origin = stream->origin;
    event->stream = stream;
    event->given = stream->given;
  }
  return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  return event->recording ? cudaErrorStreamCaptureUnsupported : cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t) { return outside_capture(); }
cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t from, cudaEvent_t to) {
  *ms = std::chrono::duration<float, std::milli>(to->time - from->time)
            .count();
  return cudaSuccess;
}
