#include "engine/cuda/random_fill.h"

#include <algorithm>

#include "engine/core/convert.h"
#include "engine/core/device_runtime.h"
#include "engine/core/rng.h"

namespace music::cuda {
namespace {

constexpr std::size_t kBlock = std::size_t{1} << 20;  // bytes

template <typename T>
Buffer random_block(std::size_t bytes) {
  Buffer block(bytes);
  Rng rng(1, RngPurpose::kData);
  for (std::size_t i = 0; i < bytes / sizeof(T); ++i)
    block.as<T>()[i] = convert<T>(rng.uniform(-1, 1));
  return block;
}

}  // namespace

void random_fill(const Buffer& buffer, DType dtype) {
  std::size_t done = std::min(buffer.bytes(), kBlock);
  const Buffer block = dtype == DType::kF16    ? random_block<Half>(done)
                       : dtype == DType::kBF16 ? random_block<BFloat16>(done)
                                               : random_block<float>(done);
  upload(buffer.data(), block.data(), done, Device::kCuda);
  for (std::size_t next; done < buffer.bytes(); done += next) {
    next = std::min(done, buffer.bytes() - done);
    copy(buffer.as<std::byte>() + done, buffer.data(), next, nullptr);
  }
  synchronize(nullptr);
}

}  // namespace music::cuda
