// The runtime calls of the emulated device.

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <vector>

#include "tests/emulator/cuda_runtime.h"
#include "tests/emulator/device_memory.h"

namespace music::emulator {

// A place in a stream that events name.
struct Mark {
  Stream* stream = nullptr;
  bool reached = false;
  std::chrono::steady_clock::time_point time;
};

struct Item {
  std::function<void()> work;   // may be empty
  std::shared_ptr<Mark> after;  // to be reached before, may be null
  std::shared_ptr<Mark> mark;   // reached by this, may be null
};

struct Capture {
  Work work;
  Stream* origin = nullptr;
  // Streams that joined: how much they were given, and how much of it the
  // origin waits for.
  struct Joined { int given = 0, waited = -1; };
  std::map<Stream*, Joined> joined;
};

struct Stream {
  std::vector<Item> items;
  std::shared_ptr<Capture> capture;
  bool early = false;
};

struct Event {
  std::shared_ptr<Mark> mark;
  // Where it was recorded, when that was captured.
  bool captured = false;
  std::weak_ptr<Capture> capture;
  Stream* of = nullptr;
  int place = 0;
};

namespace {

// Never destroyed: buffers of static storage are released after it would be.
DeviceMemory& memory() {
  static auto* m = new DeviceMemory;
  return *m;
}

int devices = 1, capturing = 0, until_early = -1;
std::vector<Stream*> streams;
std::map<const char*, std::size_t> pinned;  // begin, bytes

struct Access {
  Access() { memory().open(); }
  ~Access() { memory().close(); }
};

// Runs what the stream was given, up to and with `until` (all: null).
void run(Stream& stream, const Mark* until = nullptr) {
  while (!stream.items.empty() && !(until && until->reached)) {
    const Item item = std::move(stream.items.front());
    stream.items.erase(stream.items.begin());
    if (item.after && !item.after->reached)
      run(*item.after->stream, item.after.get());
    if (item.work) {
      const Access access;
      item.work();
    }
    if (item.mark) {
      item.mark->reached = true;
      item.mark->time = std::chrono::steady_clock::now();
    }
  }
}
void run_all() {
  for (Stream* s : streams) run(*s);
}

void give(Stream& stream, Item item) {
  stream.items.push_back(std::move(item));
  if (current_schedule() == Schedule::kForward || stream.early) run(stream);
}

bool page_locked(const void* data) {
  const auto* p = static_cast<const char*>(data);
  auto it = pinned.upper_bound(p);
  return it != pinned.begin() && p < (--it)->first + it->second;
}
bool pageable(const void* p) {
  return !memory().contains(p) && !page_locked(p);
}

}  // namespace

bool queue(Stream* stream, std::function<void()> work) {
  if (stream && stream->capture) {
    Capture& c = *stream->capture;
    c.work.push_back(std::move(work));
    if (stream != c.origin) ++c.joined[stream].given;
    return true;
  }
  if (stream) {
    give(*stream, {std::move(work), nullptr, nullptr});
    return true;
  }
  // The default stream waits for the others, and they for it.
  if (capturing > 0) return false;
  run_all();
  const Access access;
  work();
  return true;
}

void set_early_stream(int nth) { until_early = nth; }
void set_device_memory(std::size_t bytes) { memory().total = bytes; }
void set_device_count(int count) { devices = count; }

}  // namespace music::emulator

using namespace music::emulator;

namespace {
cudaError_t queued(bool ok) {
  return ok ? cudaSuccess : cudaErrorStreamCaptureUnsupported;
}
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
    case cudaErrorStreamCaptureIsolation:
      return "cudaErrorStreamCaptureIsolation";
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
// What releases memory waits for the device.
cudaError_t cudaFree(void* data) {
  run_all();
  if (data) memory().release(data);
  return cudaSuccess;
}
cudaError_t cudaMallocHost(void** data, std::size_t bytes) {
  *data = std::malloc(bytes);
  pinned[static_cast<char*>(*data)] = bytes;
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* data) {
  run_all();
  pinned.erase(static_cast<char*>(data));
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
// Pageable memory is read before the call returns, and written by then. A
// captured copy would touch it at every launch: not allowed here.
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes,
                            cudaMemcpyKind, cudaStream_t stream) {
  const auto copy = [=] { std::memcpy(to, from, bytes); };
  const bool reads = pageable(from), writes = pageable(to);
  if (!reads && !writes) return queued(queue(stream, copy));
  if (stream && stream->capture) return cudaErrorStreamCaptureUnsupported;
  if (writes) {
    const bool ok = queue(stream, copy);
    if (ok && stream) run(*stream);
    return queued(ok);
  }
  const auto* p = static_cast<const char*>(from);
  return queued(queue(stream, [=, staged = std::vector<char>(p, p + bytes)] {
    std::memcpy(to, staged.data(), bytes);
  }));
}
cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from,
                              std::size_t from_pitch, std::size_t width,
                              std::size_t rows, cudaMemcpyKind,
                              cudaStream_t stream) {
  if (width > to_pitch || width > from_pitch) return cudaErrorInvalidValue;
  // Pageable memory: as above; nothing here uses it.
  if (pageable(to) || pageable(from)) return cudaErrorInvalidValue;
  return queued(queue(stream, [=] {
    for (std::size_t i = 0; i < rows; ++i)
      std::memcpy(static_cast<char*>(to) + i * to_pitch,
                  static_cast<const char*>(from) + i * from_pitch, width);
  }));
}
cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  *stream = streams.emplace_back(new Stream);
  if (until_early >= 0) (*stream)->early = until_early-- == 0;
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  run(*stream);
  std::erase(streams, stream);
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (capturing > 0) return cudaErrorStreamCaptureUnsupported;
  if (stream) run(*stream);
  else run_all();
  return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event,
                                unsigned) {
  if (event->captured) {
    // A stream that waits for captured work is captured too.
    const auto c = event->capture.lock();
    if (!c) return cudaErrorInvalidValue;
    if (!stream || (stream->capture && stream->capture != c))
      return cudaErrorStreamCaptureIsolation;
    if (!stream->capture) {
      stream->capture = c;
      c->joined[stream] = {};
    }
    if (stream == c->origin && event->of != stream) {
      int& waited = c->joined[event->of].waited;
      waited = std::max(waited, event->place);
    }
    return cudaSuccess;
  }
  if (stream && stream->capture) return cudaErrorStreamCaptureIsolation;
  if (!event->mark) return cudaSuccess;
  if (stream) give(*stream, {nullptr, event->mark, nullptr});
  else run_all();
  return cudaSuccess;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  if (!stream || stream->capture) return cudaErrorInvalidValue;
  stream->capture = std::make_shared<Capture>();
  stream->capture->origin = stream;
  ++capturing;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  const auto c = stream->capture;
  if (!c || c->origin != stream) return cudaErrorInvalidValue;
  stream->capture = nullptr;
  --capturing;
  bool joined = true;
  for (const auto& [other, how] : c->joined) {
    other->capture = nullptr;
    joined = joined && how.waited == how.given;
  }
  if (!joined) return cudaErrorStreamCaptureUnjoined;
  *graph = new Work(std::move(c->work));
  return cudaSuccess;
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
  *event = {};
  if (stream && stream->capture) {
    Capture& c = *stream->capture;
    event->captured = true;
    event->capture = stream->capture;
    event->of = stream;
    if (stream != c.origin) event->place = c.joined[stream].given;
    return cudaSuccess;
  }
  event->mark = std::make_shared<Mark>();
  if (stream) {
    event->mark->stream = stream;
    give(*stream, {nullptr, nullptr, event->mark});
    return cudaSuccess;
  }
  const auto mark = event->mark;
  return queued(queue(nullptr, [mark] {
    mark->reached = true;
    mark->time = std::chrono::steady_clock::now();
  }));
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (capturing > 0) return cudaErrorStreamCaptureUnsupported;
  if (event->mark && !event->mark->reached)
    run(*event->mark->stream, event->mark.get());
  return cudaSuccess;
}
// Not reached when first asked; time passes between two questions.
cudaError_t cudaEventQuery(cudaEvent_t event) {
  if (event->captured) return cudaErrorStreamCaptureUnsupported;
  if (!event->mark || event->mark->reached) return cudaSuccess;
  run(*event->mark->stream, event->mark.get());
  return cudaErrorNotReady;
}
cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t from, cudaEvent_t to) {
  if (!from->mark || !to->mark) return cudaErrorInvalidValue;
  if (!from->mark->reached || !to->mark->reached) return cudaErrorNotReady;
  *ms = std::chrono::duration<float, std::milli>(to->mark->time -
                                                 from->mark->time)
            .count();
  return cudaSuccess;
}
