// The emulator itself: it must find the mistakes it is there for.
#include <doctest/doctest.h>

#include <string>

#include "engine/core/buffer.h"
#include "engine/core/error.h"
#include "tests/emulator/cuda_runtime.h"

namespace {

using namespace music;

// Sum of 64 numbers through shared memory; `barrier` false is the mistake.
void block_sum(const float* x, float* y, bool barrier) {
  MUSIC_SHARED(float, partial, 64);
  const unsigned t = threadIdx.x;
  partial[t] = x[t];
  if (barrier) __syncthreads();
  for (unsigned half = 32; half > 0; half /= 2) {
    if (t < half) partial[t] += partial[t + half];
    __syncthreads();
  }
  if (t == 0) y[0] = partial[0];
}

float run_sum(bool barrier, emulator::Schedule schedule) {
  emulator::set_schedule(schedule);
  std::vector<float> x(64, 1.0f);
  Buffer in(64 * 4, Memory::kDevice), out(4, Memory::kDevice);
  upload(in.data(), x.data(), in.bytes(), Device::kCuda);
  cudaLaunchConfig_t config;
  config.blockDim = dim3(64);
  cudaLaunchKernelEx(&config, block_sum, in.as<float>(), out.as<float>(),
                     barrier);
  float y = 0;
  download(&y, out.data(), 4, Device::kCuda);
  emulator::set_schedule(emulator::Schedule::kForward);
  return y;
}

std::string problem_of(const std::function<void()>& thread, unsigned threads) {
  try {
    emulator::run_grid(dim3(1), dim3(threads), thread);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST_SUITE("emulator") {
  using emulator::Schedule;

  TEST_CASE("a missing barrier shows") {
    for (const Schedule s : {Schedule::kForward, Schedule::kReverse})
      CHECK(run_sum(true, s) == 64);
    CHECK(run_sum(false, Schedule::kForward) != 64);
  }

  TEST_CASE("a barrier that not all threads reach is an error") {
    CHECK(problem_of([] { if (threadIdx.x < 32) __syncthreads(); }, 64) != "");
    CHECK(problem_of([] { __syncthreads(); }, 64) == "");
  }

  TEST_CASE("warp operations: values, votes, and lanes that are missing") {
    CHECK(problem_of([] {
            int v = static_cast<int>(threadIdx.x);
            for (int bit = 16; bit > 0; bit /= 2)
              v += __shfl_xor_sync(0xFFFFFFFFu, v, bit);
            const int warp = static_cast<int>(threadIdx.x) / 32;
            MUSIC_CHECK(v == 496 + 1024 * warp, "sum {} in warp {}", v, warp);
            const unsigned odd = __ballot_sync(0xFFFFFFFFu, threadIdx.x & 1);
            MUSIC_CHECK(odd == 0xAAAAAAAAu, "votes {:x}", odd);
          }, 64) == "");
    CHECK(problem_of([] {
            if (threadIdx.x != 5) __shfl_xor_sync(0xFFFFFFFFu, 1, 1);
          }, 32) != "");
    CHECK(problem_of([] {
            if (threadIdx.x < 16) __shfl_sync(0x0000FFFFu, 1, 20);
          }, 32).find("lane 20") != std::string::npos);
  }

  TEST_CASE("a block that is not whole warps is an error") {
    CHECK(problem_of([] {}, 33) != "");
  }
}

}  // namespace
