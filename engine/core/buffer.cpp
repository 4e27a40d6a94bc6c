#include "engine/core/buffer.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

#include "engine/core/device_runtime.h"
#include "engine/core/error.h"

namespace music {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

void* allocate_host(std::size_t bytes) {
  const bool huge = bytes >= 2 * kHugePage;
  const std::size_t alignment = huge ? kHugePage : Buffer::kAlignment;
  const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void* p = std::aligned_alloc(alignment, rounded);
  if (!p)
    throw error(ExitCode::kMemory,
                "[memory] cannot allocate {:.1f} MiB: use a smaller batch",
                static_cast<double>(bytes) / (1 << 20));
  if (huge) madvise(p, rounded, MADV_HUGEPAGE);  // advice: failure is harmless
  std::memset(p, 0, bytes);
  return p;
}

}  // namespace

void Buffer::Free::operator()(void* p) const {
  switch (memory) {
    case Memory::kHost: std::free(p); break;
    case Memory::kPinned: cuda::release_pinned(p); break;
    case Memory::kDevice: cuda::release(p); break;
  }
}

Buffer::Buffer(std::size_t bytes, Memory memory)
    : data_(nullptr, Free{memory}), bytes_(bytes) {
  if (bytes == 0) return;
  switch (memory) {
    case Memory::kHost: data_.reset(allocate_host(bytes)); break;
    case Memory::kPinned: data_.reset(cuda::allocate_pinned(bytes)); break;
    case Memory::kDevice: data_.reset(cuda::allocate(bytes)); break;
  }
}

void Buffer::fill(unsigned char value) {
  if (bytes_ == 0) return;
  if (data_.get_deleter().memory != Memory::kDevice) {
    std::memset(data(), value, bytes_);
    return;
  }
  cuda::set(data(), value, bytes_, nullptr);
  cuda::synchronize(nullptr);
}

void download(void* host, const void* data, std::size_t bytes, Device device) {
  if (bytes == 0) return;
  if (device == Device::kCpu) {
    std::memcpy(host, data, bytes);
    return;
  }
  cuda::copy(host, data, bytes, nullptr);
  cuda::synchronize(nullptr);
}

void upload(void* data, const void* host, std::size_t bytes, Device device) {
  if (bytes == 0) return;
  if (device == Device::kCpu) {
    std::memcpy(data, host, bytes);
    return;
  }
  cuda::copy(data, host, bytes, nullptr);
  cuda::synchronize(nullptr);
}

}  // namespace music
