#pragma once
// Memory of the emulated device: one reserved range that only kernels and
// copies may touch. Host code that dereferences a device pointer is stopped by
// the processor, as it would be with a device.

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>

#include "engine/core/error.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(a, n) ((void)(a), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(a, n) ((void)(a), (void)(n))
#endif

namespace music::emulator {

class DeviceMemory {
 public:
  DeviceMemory() {
    void* p = mmap(nullptr, kReserved + kPage, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    MUSIC_CHECK(p != MAP_FAILED, "[emulator] cannot reserve device memory");
    base_ = static_cast<char*>(p) + (kPage - reinterpret_cast<std::uintptr_t>(p) %
                                                kPage) % kPage;
    // The door opens and closes with every launch: few pages, few entries.
    madvise(base_, kReserved, MADV_HUGEPAGE);
  }
  // Null when it does not fit.
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
    const std::size_t end = (at + size + kPage - 1) / kPage * kPage;
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
  // Kernels and copies run between the two.
  void open() {
    if (depth_++ == 0) protect(PROT_READ | PROT_WRITE);
  }
  void close() {
    if (--depth_ == 0) protect(PROT_NONE);
  }
  std::size_t free() const { return total - std::min(total, used_); }
  bool contains(const void* p) const {
    return p >= base_ && p < base_ + kReserved;
  }

  std::size_t total = std::size_t{4} << 30;

 private:
  static constexpr std::size_t kReserved = std::size_t{64} << 30;
  static constexpr std::size_t kPage = std::size_t{2} << 20;
  static constexpr std::size_t kAlign = 256, kGap = 256;

  void protect(int how) {
    if (mapped_ > 0) mprotect(base_, mapped_, how);
  }
  struct Allocation { std::size_t size, bytes; };
  char* base_;
  std::map<std::size_t, Allocation> blocks_;
  std::size_t used_ = 0, mapped_ = 0;
  int depth_ = 0;
};

}  // namespace music::emulator
