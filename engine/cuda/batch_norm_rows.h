#pragma once
// How the batch-norm kernels walk a tensor: as rows of C channels, the rows of
// a group after those of another. A block takes a tile of channels and a chunk
// of rows; a thread takes W channels, so that what a channel has one of stays
// in its registers, and every lanes()-th row. W is 8, which is a 16-byte access
// and a byte of the mask, or 1 where C is no multiple of 8. The cut follows
// from the shape alone, so sums have the same bits on every device.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

#include "engine/core/host_device.h"
#include "engine/core/shape.h"
#include "engine/cuda/elements.h"
#include "engine/cuda/launch.h"
#include "engine/ops/function_kernel.h"

namespace music::cuda {

// Of kernels on BatchNormRows::grid(): registers for three blocks at a time on
// a multiprocessor, each with several 16-byte loads in flight.
#define MUSIC_BATCH_NORM_BOUNDS \
  __launch_bounds__(::music::cuda::BatchNormRows::kThreads, 3)

struct BatchNormRows {
  static constexpr int kThreads = 256, kWarps = kThreads / 32;

  std::int64_t channels, rows;  // rows: of a group
  std::int64_t chunk_rows;
  int groups, chunks, tiles;
  int columns;  // threads side by side: a power of two up to 32

  BatchNormRows(const Shape& xs, int group_count)
      : channels(xs[-1]),
        rows(xs.elements() / channels / group_count),
        groups(group_count) {
    // What a thread takes at least, a multiple of every unrolling; and blocks
    // enough to fill any device.
    constexpr std::int64_t kRows = 8, kBlocks = 132 * 16;
    const std::int64_t width = channels / pack();
    columns = 1;
    while (columns < 32 && columns < width) columns *= 2;
    tiles = static_cast<int>(ceil_div(width, columns));
    const std::int64_t most =
        std::max<std::int64_t>(1, kBlocks / (std::int64_t{tiles} * groups));
    const std::int64_t step = kRows * lanes();
    chunk_rows = std::max<std::int64_t>(1, ceil_div(ceil_div(rows, most), step)) * step;
    chunks = static_cast<int>(ceil_div(rows, chunk_rows));
  }

  std::int64_t pack() const { return channels % kPack == 0 ? kPack : 1; }  // W
  MUSIC_HOST_DEVICE int lanes() const { return kThreads / columns; }
  LaunchShape grid() const { return {tiles, chunks, groups, kThreads}; }
  std::size_t partial_bytes() const {
    return static_cast<std::size_t>(2 * channels * chunks * groups) *
           sizeof(double);
  }
};

// A kernel that runs body(T{}, W, args), T the element type of dtype.
template <typename F>
std::unique_ptr<Kernel> batch_norm_kernel(DType dtype,
                                          const BatchNormRows& rows,
                                          std::size_t workspace, F body) {
  std::unique_ptr<Kernel> kernel;
  with_real_type(dtype, "batch_norm", [&]<typename T>(T type) {
    const auto run_with = [&](auto width) {
      kernel = function_kernel(workspace, [=](const KernelArgs& args) {
        body(type, width, args);
      });
    };
    if (rows.pack() == kPack)
      run_with(std::integral_constant<int, kPack>{});
    else
      run_with(std::integral_constant<int, 1>{});
  });
  return kernel;
}

// Adds what the blocks of a reduction left, in the order of the chunks, and the
// count: partial [groups, chunks, 2, C] -> stats [groups, 2C+1]
// (batch_norm.cu).
void sum_partials(const BatchNormRows& rows, const double* partial,
                  double* stats, void* stream);

// W elements as they were loaded: 16-bit ones take half the registers until
// they are used.
template <typename T, int W>
struct Loaded {
  float v[W];
  __device__ void from(const T* p) {
    if constexpr (W == kPack)
      load8(p, v);
    else
      v[0] = to_real(*p);
  }
  __device__ float operator[](int j) const { return v[j]; }
};
template <typename T>
  requires(sizeof(T) == 2)
struct Loaded<T, kPack> {
  std::uint32_t w[4];
  __device__ void from(const T* p) {
    const uint4 words = *reinterpret_cast<const uint4*>(p);
    w[0] = words.x, w[1] = words.y, w[2] = words.z, w[3] = words.w;
  }
  __device__ float operator[](int j) const {
    return to_real(T{static_cast<std::uint16_t>(w[j / 2] >> (j % 2 * 16))});
  }
};

template <int W, typename T>
__device__ void load(const T* p, float (&v)[W]) {
  Loaded<T, W> x;
  x.from(p);
#pragma unroll
  for (int j = 0; j < W; ++j) v[j] = x[j];
}
template <int W, typename T>
__device__ void store(T* p, const float (&v)[W]) {
  if constexpr (W == kPack)
    store8(p, v);
  else
    *p = from_real<T>(v[0]);
}
// The bits of the mask that belong to elements [at, at + W).
template <int W>
__device__ unsigned mask_bits(const std::uint8_t* mask, std::int64_t at) {
  return mask[at / kPack] >> (W == kPack ? 0 : at % kPack);
}

// The part of a tensor that the running thread takes.
template <int W>
struct BatchNormThread {
  const BatchNormRows& rows;
  std::int64_t channel;  // the first of W
  bool inside;           // false: the tile has no channels left for it
  std::int64_t group, chunk_begin, chunk_end;  // rows of the tensor

  __device__ explicit BatchNormThread(const BatchNormRows& r) : rows(r) {
    const int column = static_cast<int>(threadIdx.x) % r.columns;
    channel = (std::int64_t{blockIdx.x} * r.columns + column) * W;
    inside = channel < r.channels;
    group = blockIdx.z;
    const std::int64_t begin = blockIdx.y * r.chunk_rows;
    chunk_begin = group * r.rows + begin;
    chunk_end = group * r.rows + std::min(begin + r.chunk_rows, r.rows);
  }

  // Calls body(U, at) with at the element of its first channel in a row, and U
  // the number of rows to take at once, step() elements apart: kUnroll or 1.
  template <int kUnroll, typename F>
  __device__ void for_rows(F&& body) const {
    if (!inside) return;
    const std::int64_t lane = threadIdx.x / static_cast<unsigned>(rows.columns);
    const std::int64_t end = chunk_end * rows.channels, s = step();
    std::int64_t at = (chunk_begin + lane) * rows.channels + channel;
    for (; at + (kUnroll - 1) * s < end; at += kUnroll * s)
      body(std::integral_constant<int, kUnroll>{}, at);
    for (; at < end; at += s) body(std::integral_constant<int, 1>{}, at);
  }
  __device__ std::int64_t step() const { return rows.lanes() * rows.channels; }

  // Adds a and b over the block's threads of the same channels, lets
  // finish(channel, a, b) change the sums of each channel, and writes them to
  // the block's place in partial. All threads of the block must come.
  template <typename F>
  __device__ void reduce(float (&a)[W], float (&b)[W], double* partial,
                         F&& finish) const {
    // Threads of one warp with the same channels stand `columns` apart.
    for (int apart = rows.columns; apart < 32; apart *= 2)
#pragma unroll
      for (int j = 0; j < W; ++j) {
        a[j] += __shfl_xor_sync(~0u, a[j], apart);
        b[j] += __shfl_xor_sync(~0u, b[j], apart);
      }
    // [warp][a, b][j][column]; the padding spreads the reads over the banks.
    constexpr int kPitch = 32 + 4;
    MUSIC_SHARED(float, sums, BatchNormRows::kWarps * 2 * W * kPitch);
    const int pitch = rows.columns + 4;
    const int thread = static_cast<int>(threadIdx.x);
    if (thread % 32 < rows.columns)
#pragma unroll
      for (int j = 0; j < W; ++j) {
        float* p = sums + (thread / 32 * 2 * W + j) * pitch + thread % 32;
        p[0] = a[j];
        p[W * pitch] = b[j];
      }
    __syncthreads();
    const std::int64_t c = std::int64_t{blockIdx.x} * rows.columns * W + thread;
    if (thread >= rows.columns * W || c >= rows.channels) return;
    double total_a = 0, total_b = 0;
    for (int w = 0; w < BatchNormRows::kWarps; ++w) {
      const float* p =
          sums + (w * 2 * W + thread % W) * pitch + thread / W;
      total_a += p[0];
      total_b += p[W * pitch];
    }
    finish(c, total_a, total_b);
    double* out = partial +
                  (group * rows.chunks + blockIdx.y) * 2 * rows.channels + c;
    out[0] = total_a;
    out[rows.channels] = total_b;
  }
};

}  // namespace music::cuda
