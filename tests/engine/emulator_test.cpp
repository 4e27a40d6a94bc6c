// The emulator itself: it must find the mistakes it is there for.
#include <doctest/doctest.h>

#include <string>

#include "engine/core/buffer.h"
#include "engine/core/device_runtime.h"
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

  TEST_CASE("streams run when something waits for them, events in between") {
    const auto run = [](bool wait_in, bool synchronize) {
      const Buffer a(4, Memory::kPinned), b(4, Memory::kDevice),
          c(4, Memory::kPinned);
      cuda::Stream first, second;
      cuda::Event written;
      emulator::set_schedule(Schedule::kReverse);
      *a.as<int>() = 5;
      cuda::copy(b.data(), a.data(), 4, first.get());
      written.record(first.get());
      if (wait_in) written.wait_in(second.get());
      cuda::copy(c.data(), b.data(), 4, second.get());
      CHECK(*c.as<int>() == 0);
      if (synchronize) cuda::synchronize(second.get());
      const int v = *c.as<int>();
      emulator::set_schedule(Schedule::kForward);
      return v;
    };
    CHECK(run(true, true) == 5);
    CHECK(run(false, true) == 0);  // nothing says that `second` is later
    CHECK(run(true, false) == 0);
  }

  TEST_CASE("a copy reads pageable memory when queued, pinned when it runs") {
    for (const Memory memory : {Memory::kHost, Memory::kPinned}) {
      const Buffer a(4, memory), b(4, Memory::kDevice);
      cuda::Stream stream;
      emulator::set_schedule(Schedule::kReverse);
      *a.as<int>() = 5;
      cuda::copy(b.data(), a.data(), 4, stream.get());
      *a.as<int>() = 7;
      int v = 0;
      download(&v, b.data(), 4, Device::kCuda);
      emulator::set_schedule(Schedule::kForward);
      CHECK(v == (memory == Memory::kHost ? 5 : 7));
    }
  }

  TEST_CASE("what a capture does not allow is an error") {
    const auto capture = [](auto&& fn) -> std::string {
      cuda::Stream stream, other;
      cuda::Event earlier, fork, join;
      earlier.record(other.get());
      cuda::CapturedGraph graph;
      std::string problem;
      graph.begin(stream.get());
      try {
        fn(stream.get(), other.get(), earlier, fork, join);
      } catch (const Error& e) {
        problem = e.what();
      }
      try {
        graph.end(stream.get());
      } catch (const Error& e) {
        problem += e.what();
      }
      return problem;
    };
    const Buffer device(4, Memory::kDevice), pinned(4, Memory::kPinned),
        pageable(4);
    using cuda::Event;
    const auto contains = [](const std::string& text, const char* part) {
      return text.find(part) != std::string::npos;
    };
    CHECK(contains(capture([&](void* s, void*, Event&, Event&, Event&) {
            cuda::copy(device.data(), pageable.data(), 4, s);
          }), "cudaErrorStreamCaptureUnsupported"));
    CHECK(contains(capture([&](void*, void*, Event&, Event&, Event&) {
            cuda::copy(device.data(), pinned.data(), 4, nullptr);
          }), "cudaErrorStreamCaptureUnsupported"));
    CHECK(contains(capture([&](void* s, void*, Event&, Event&, Event&) {
            cuda::synchronize(s);
          }), "cudaErrorStreamCaptureUnsupported"));
    CHECK(contains(capture([&](void*, void*, Event&, Event&, Event&) {
            Buffer(4, Memory::kDevice);
          }), "cudaErrorStreamCaptureUnsupported"));
    CHECK(contains(capture([&](void* s, void*, Event& earlier, Event&, Event&) {
            earlier.wait_in(s);
          }), "cudaErrorStreamCaptureIsolation"));
    // Another stream may join, and must come back with all it was given.
    for (const int mistake : {0, 1, 2}) {
      const std::string problem =
          capture([&](void* s, void* other, Event&, Event& fork, Event& join) {
            fork.record(s);
            fork.wait_in(other);
            cuda::copy(device.data(), pinned.data(), 4, other);
            join.record(other);
            if (mistake == 2)
              cuda::copy(device.data(), pinned.data(), 4, other);
            if (mistake != 1) join.wait_in(s);
          });
      CAPTURE(mistake);
      CHECK(contains(problem, "cudaErrorStreamCaptureUnjoined") ==
            (mistake != 0));
    }
  }
}

}  // namespace
