#pragma once
// The CUDA runtime as the rest of the engine sees it: memory, streams, events,
// captured graphs, ranges for profilers. Bodies: engine/cuda/runtime.cpp, or
// engine/cuda/no_cuda.cpp in a build without CUDA, where device_count() is 0
// and the rest throws kUsage in one line.
//
// A stream is a cudaStream_t carried as void*; null is the default stream.
// A process uses one device, from one thread at a time. Errors of the runtime
// are music::Error and name the call, the expression, the file and the line.

#include <cstddef>
#include <cstdint>
#include <string>

namespace music::cuda {

// No kernel takes more workspace; algorithms that want more are not chosen.
constexpr std::size_t kMostWorkspace = std::size_t{512} << 20;
// What a context and the kernels of cuDNN and cuBLASLt occupy, about.
constexpr std::size_t kLibraryMemory = std::size_t{800} << 20;

struct DeviceInfo {
  std::string name;
  std::string id;  // in hexadecimal; no two devices of any machine have one
  int major = 0, minor = 0;  // compute capability
  std::size_t total_bytes = 0, free_bytes = 0;
  int multiprocessors = 0;
  int driver = 0, runtime = 0;  // 1000 major + 10 minor
};

// Devices this process may use; 0 when there is none, no driver, or no CUDA in
// the build. Never throws.
int device_count() noexcept;
// Why device_count() is 0, in one line: what was found and what is needed.
std::string why_no_device();
// Makes `index` this process's device. kUsage when it is not there, when its
// compute capability is none the build has code for, or the driver is older
// than the runtime needs.
void select_device(int index);
DeviceInfo device_info();

// Device memory, zeroed; kUsage, with what is free, when it does not fit.
void* allocate(std::size_t bytes);
void release(void* data) noexcept;
// Page-locked host memory: copies from it run beside kernels.
void* allocate_pinned(std::size_t bytes);
void release_pinned(void* data) noexcept;
// In any direction, in the order of the stream. Pageable host memory is staged
// before the call returns; pinned memory must stay as it is until then.
void copy(void* to, const void* from, std::size_t bytes, void* stream);
// Rows of a matrix; bytes from one to the next.
struct Pitched {
  void* data;
  std::int64_t pitch;
};
// `rows` times `row_bytes`, as copy(); nothing where either is 0.
void copy_rows(Pitched to, Pitched from, std::int64_t row_bytes,
               std::int64_t rows, void* stream);
void set(void* data, unsigned char value, std::size_t bytes, void* stream);
// Waits until all that was queued has run.
void synchronize(void* stream);

class Stream {
 public:
  Stream();
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  void* get() const { return stream_; }

 private:
  void* stream_ = nullptr;
};

class Event {
 public:
  explicit Event(bool timed = false);
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  void record(void* stream);
  void wait_in(void* stream) const;  // later work of `stream` runs after it
  void synchronize() const;          // the calling thread waits
  bool reached() const;              // it need not
  // Both timed and reached.
  static double milliseconds(const Event& from, const Event& to);

 private:
  void* event_ = nullptr;
};

// Work recorded once, launched as a whole:
//   graph.begin(stream); ...enqueue...; graph.end(stream); graph.launch(stream);
class CapturedGraph {
 public:
  CapturedGraph() = default;
  ~CapturedGraph();
  CapturedGraph(const CapturedGraph&) = delete;
  CapturedGraph& operator=(const CapturedGraph&) = delete;
  // Between begin() and end() work on the stream is recorded, not run. Not the
  // default stream. Nothing may be allocated or waited for.
  void begin(void* stream);
  void end(void* stream);
  bool ready() const { return executable_ != nullptr; }
  void launch(void* stream);

 private:
  void* executable_ = nullptr;
};

// A named range on a profiler's timeline while it lives; nothing unless
// MUSIC_NVTX=1.
class Range {
 public:
  explicit Range(const char* name);
  ~Range();
  Range(const Range&) = delete;
  Range& operator=(const Range&) = delete;

 private:
  bool open_;
};

}  // namespace music::cuda
