#pragma once
// Buffer: owning host memory, 64-byte aligned (large blocks: 2 MiB aligned and
// advised for huge pages), zero-initialised, movable.

#include <cstddef>
#include <memory>

namespace music {

class Buffer {
 public:
  static constexpr std::size_t kAlignment = 64;

  Buffer() = default;
  explicit Buffer(std::size_t bytes);

  void* data() const { return data_.get(); }
  std::size_t bytes() const { return bytes_; }
  template <typename T>
  T* as() const { return static_cast<T*>(data_.get()); }

 private:
  struct Free { void operator()(void* p) const; };
  std::unique_ptr<void, Free> data_;
  std::size_t bytes_ = 0;
};

// Rounds up to Buffer::kAlignment.
constexpr std::size_t aligned(std::size_t bytes) {
  return (bytes + Buffer::kAlignment - 1) / Buffer::kAlignment *
         Buffer::kAlignment;
}

}  // namespace music
