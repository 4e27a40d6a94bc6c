// engine/core/device_runtime.h for the libraries of this folder: device memory
// is host memory.

#include <cstdlib>
#include <cstring>

#include "engine/core/device_runtime.h"
#include "engine/core/error.h"
#include "tests/libraries/libraries.h"

namespace music::libraries {
Settings settings;
Calls calls;
}  // namespace music::libraries

namespace music::cuda {
namespace {
[[noreturn]] void unused() {
  throw error(ExitCode::kInternal, "[libraries] not part of these tests");
}
}  // namespace

int device_count() noexcept { return 1; }
std::string why_no_device() { return ""; }
void select_device(int) {}
DeviceInfo device_info() {
  DeviceInfo d;
  d.name = "Plain";
  d.major = libraries::settings.major, d.minor = libraries::settings.minor;
  d.free_bytes = libraries::settings.free_bytes;
  return d;
}
void* allocate(std::size_t bytes) { return std::calloc(bytes, 1); }
void release(void* data) noexcept { std::free(data); }
void* allocate_pinned(std::size_t bytes) { return allocate(bytes); }
void release_pinned(void* data) noexcept { std::free(data); }
void copy(void* to, const void* from, std::size_t bytes, void*) {
  std::memcpy(to, from, bytes);
}
void copy_rows(Pitched, Pitched, std::int64_t, std::int64_t, void*) {
  unused();
}
void set(void* data, unsigned char value, std::size_t bytes, void*) {
  std::memset(data, value, bytes);
}
void synchronize(void*) {}
Stream::Stream() { unused(); }
Stream::~Stream() = default;
Event::Event(bool) { unused(); }
Event::~Event() = default;
void Event::record(void*) { unused(); }
void Event::wait_in(void*) const { unused(); }
void Event::synchronize() const { unused(); }
double Event::milliseconds(const Event&, const Event&) { unused(); }
CapturedGraph::~CapturedGraph() = default;
void CapturedGraph::begin(void*) { unused(); }
void CapturedGraph::end(void*) { unused(); }
void CapturedGraph::launch(void*) { unused(); }
Range::Range(const char*) : open_(false) {}
Range::~Range() = default;

}  // namespace music::cuda
