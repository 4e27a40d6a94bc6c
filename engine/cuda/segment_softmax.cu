#include "engine/ops/segment_softmax.h"

#include "engine/core/buffer.h"
#include "engine/cuda/launch.h"
#include "engine/cuda/softmax.h"
#include "engine/ops/function_kernel.h"

namespace music::cuda {
namespace {

// Blocks take rows, warps take segments of the row. begin: segments + 1
// boundaries.
struct Segments {
  const int* begin;
  int count;
  std::int64_t rows, width;
  float inverse;  // 1 / temperature
};

// Calls fn(offset of the segment, its size) for every segment that is this
// warp's.
template <typename F>
__device__ inline void for_segments(const Segments& s, F fn) {
  const int warp = static_cast<int>(threadIdx.x / 32);
  const int warps = static_cast<int>(blockDim.x / 32);
  for (std::int64_t row = blockIdx.x; row < s.rows; row += gridDim.x)
    for (int i = warp; i < s.count; i += warps) {
      const int begin = __ldg(s.begin + i);
      fn(row * s.width + begin, __ldg(s.begin + i + 1) - begin);
    }
}

// q may be z: a lane has read an element for the last time when it writes it,
// and no other lane reads it.
__global__ void softmax_forward(const float* z, float* q, Segments s) {
  for_segments(s, [&](std::int64_t at, int size) {
    const auto e = warp_exponentials<float>(z + at, size, s.inverse);
    const float factor = 1 / e.sum;
    for (int i = static_cast<int>(threadIdx.x % 32); i < size; i += 32)
      q[at + i] = expf((z[at + i] - e.top) * s.inverse) * factor;
  });
}

// dz may be dq, as above.
__global__ void softmax_backward(const float* dq, const float* q, float* dz,
                                 Segments s) {
  for_segments(s, [&](std::int64_t at, int size) {
    const int lane = static_cast<int>(threadIdx.x % 32);
    float dot = 0;
    for (int i = lane; i < size; i += 32) dot += dq[at + i] * q[at + i];
    dot = warp_sum(dot);
    for (int i = lane; i < size; i += 32)
      dz[at + i] = q[at + i] * (dq[at + i] - dot) * s.inverse;
  });
}

// fn(args, segments, launch shape) with the boundaries on the device.
template <typename F>
std::unique_ptr<Kernel> make(const KernelRequest& r,
                             const SegmentSoftmaxSpec& spec, F fn) {
  const std::vector<int> begin(spec.begin.begin(), spec.begin.end());
  Buffer buffer(begin.size() * sizeof(int), Memory::kDevice);
  upload(buffer.data(), begin.data(), buffer.bytes(), Device::kCuda);
  const Segments s{buffer.as<int>(), static_cast<int>(begin.size()) - 1,
                   r.out[0].shape[0], r.out[0].shape[1],
                   static_cast<float>(1 / spec.temperature)};
  const int threads = 32 * std::min(s.count, 8);
  const LaunchShape shape = grid_stride(s.rows * threads, threads);
  return function_kernel(
      [=, buffer = std::move(buffer)](const KernelArgs& args) {
        fn(args, s, shape);
      });
}

}  // namespace

std::unique_ptr<Kernel> make_segment_softmax_forward(const KernelRequest& r,
                                                     SegmentSoftmaxSpec spec) {
  return make(r, spec, [](const KernelArgs& args, const Segments& s,
                          const LaunchShape& shape) {
    launch(softmax_forward, shape, args.stream, args.in[0].f32(),
           args.out[0].f32(), s);
  });
}

std::unique_ptr<Kernel> make_segment_softmax_backward(const KernelRequest& r,
                                                      SegmentSoftmaxSpec spec) {
  return make(r, spec, [](const KernelArgs& args, const Segments& s,
                          const LaunchShape& shape) {
    launch(softmax_backward, shape, args.stream, args.in[0].f32(),
           args.in[1].f32(), args.out[0].f32(), s);
  });
}

}  // namespace music::cuda
