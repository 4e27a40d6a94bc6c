#pragma once
// The one way kernels are launched: tests replace it (tests/emulator compiles
// the same sources as C++ and runs each block's threads as fibers).

#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "engine/cuda/check.h"

// Shared memory of a block: MUSIC_SHARED(float, partial, 256); the tests'
// cuda_runtime.h gives it redzones and fills it with NaN.
#ifndef MUSIC_SHARED
#define MUSIC_SHARED(type, name, count) __shared__ type name[count]
#endif
// Blocks of a loop in strides of the grid, at most: 16 for each multiprocessor
// of an H100. The tests' is so small that such loops wrap.
#ifndef MUSIC_MOST_BLOCKS
#define MUSIC_MOST_BLOCKS (132 * 16)
#endif

namespace music::cuda {

struct LaunchShape {
  std::int64_t blocks_x = 1, blocks_y = 1, blocks_z = 1;
  int threads = 256;  // along x
};

// Queues kernel(args...) on `stream`; launches nothing for an empty grid.
template <typename... Parameters, typename... Args>
void launch(void (*kernel)(Parameters...), const LaunchShape& shape,
            void* stream, Args... args) {
  if (shape.blocks_x * shape.blocks_y * shape.blocks_z == 0) return;
  MUSIC_CHECK(shape.blocks_x <= 0x7FFFFFFF && shape.blocks_y <= 65535 &&
                  shape.blocks_z <= 65535,
              "[cuda] grid {} x {} x {}", shape.blocks_x, shape.blocks_y,
              shape.blocks_z);
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(shape.blocks_x),
                        static_cast<unsigned>(shape.blocks_y),
                        static_cast<unsigned>(shape.blocks_z));
  config.blockDim = dim3(static_cast<unsigned>(shape.threads));
  config.stream = static_cast<cudaStream_t>(stream);
  MUSIC_CUDA(cudaLaunchKernelEx(&config, kernel,
                                static_cast<Parameters>(args)...));
}

constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

// Bytes a part of a workspace takes when another follows: every part starts on
// 256 bytes, as an allocation does.
constexpr std::size_t workspace_part(std::size_t bytes) {
  return (bytes + 255) / 256 * 256;
}

// Blocks for a loop over n items in strides of the whole grid: enough to fill
// any device, few enough that a thread's set-up is shared by several items.
inline LaunchShape grid_stride(std::int64_t n, int threads = 256,
                               std::int64_t most = MUSIC_MOST_BLOCKS) {
  return {std::min(ceil_div(n, threads), most), 1, 1, threads};
}

// One block a row, whose threads share the row's items evenly.
inline LaunchShape block_per_row(std::int64_t rows, std::int64_t items) {
  const std::int64_t share = ceil_div(items, ceil_div(items, 256));
  return {rows, 1, 1, static_cast<int>(ceil_div(share, 32) * 32)};
}

}  // namespace music::cuda
