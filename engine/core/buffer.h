#pragma once
// Buffer: owning memory, zero-initialised, movable. Host memory is 64-byte
// aligned (large blocks: 2 MiB aligned and advised for huge pages); device
// memory 256-byte aligned.

#include <cstddef>
#include <memory>

#include "engine/core/device.h"

namespace music {

enum class Memory {
  kHost,
  kPinned,  // host memory a GPU copies from without waiting
  kDevice,  // of the GPU
};

// Where tensors of a device lie.
constexpr Memory memory_of(Device device) {
  return device == Device::kCpu ? Memory::kHost : Memory::kDevice;
}

class Buffer {
 public:
  static constexpr std::size_t kAlignment = 64;

  Buffer() = default;
  // kUsage when there is not that much.
  explicit Buffer(std::size_t bytes, Memory memory = Memory::kHost);

  void* data() const { return data_.get(); }
  std::size_t bytes() const { return bytes_; }
  template <typename T>
  T* as() const { return static_cast<T*>(data_.get()); }
  // Sets every byte.
  void fill(unsigned char value);

 private:
  struct Free {
    Memory memory;
    Free() : memory(Memory::kHost) {}
    explicit Free(Memory m) : memory(m) {}
    void operator()(void* p) const;
  };
  std::unique_ptr<void, Free> data_;
  std::size_t bytes_ = 0;
};

// Room for count values of T in buffer, whose contents are not kept.
template <typename T>
T* reserve(Buffer& buffer, std::size_t count) {
  if (buffer.bytes() < count * sizeof(T)) buffer = Buffer(count * sizeof(T));
  return buffer.as<T>();
}

// Copies between host memory and memory of `device`, and waits for it: after
// all that the device's default stream and the streams synchronised with it
// were given. On the CPU a memcpy.
void download(void* host, const void* data, std::size_t bytes, Device device);
void upload(void* data, const void* host, std::size_t bytes, Device device);

// Rounds up to Buffer::kAlignment.
constexpr std::size_t aligned(std::size_t bytes) {
  return (bytes + Buffer::kAlignment - 1) / Buffer::kAlignment *
         Buffer::kAlignment;
}

}  // namespace music
