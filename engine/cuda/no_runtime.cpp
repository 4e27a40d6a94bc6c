// The CUDA runtime of a build without CUDA: no device, and one line that says so.
#include "engine/core/device_runtime.h"
#include "engine/core/error.h"

namespace music::cuda {
namespace {
[[noreturn]] void no_cuda() {
  throw error(ExitCode::kUsage, "[cuda] this build has no CUDA: use the cpu "
                                "device");
}
}  // namespace

int device_count() noexcept { return 0; }
std::string why_no_device() { return "this build has no CUDA"; }
void select_device(int) { no_cuda(); }
DeviceInfo device_info() { no_cuda(); }
void* allocate(std::size_t) { no_cuda(); }
void release(void*) noexcept {}
void* allocate_pinned(std::size_t) { no_cuda(); }
void release_pinned(void*) noexcept {}
void copy(void*, const void*, std::size_t, void*) { no_cuda(); }
void copy_rows(Pitched, Pitched, std::int64_t, std::int64_t, void*) {
  no_cuda();
}
void set(void*, unsigned char, std::size_t, void*) { no_cuda(); }
void synchronize(void*) { no_cuda(); }
Stream::Stream() { no_cuda(); }
Stream::~Stream() = default;
Event::Event(bool) { no_cuda(); }
Event::~Event() = default;
void Event::record(void*) { no_cuda(); }
void Event::wait_in(void*) const { no_cuda(); }
void Event::synchronize() const { no_cuda(); }
bool Event::reached() const { no_cuda(); }
double Event::milliseconds(const Event&, const Event&) { no_cuda(); }
CapturedGraph::~CapturedGraph() = default;
void CapturedGraph::begin(void*) { no_cuda(); }
void CapturedGraph::end(void*) { no_cuda(); }
void CapturedGraph::launch(void*) { no_cuda(); }
Range::Range(const char*) : open_(false) {}
Range::~Range() = default;

}  // namespace music::cuda
