// What kernels of engine/cuda are made of, on the emulator.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "engine/cuda/block_reduce.h"
#include "engine/cuda/divider.h"

namespace {

using namespace music;

TEST_SUITE("cuda_parts") {
  TEST_CASE("Divider divides") {
    for (const std::int64_t divisor : {1, 2, 3, 7, 8, 255, 256, 641, 40961}) {
      const std::int64_t most = (std::int64_t{1} << 31) / divisor - 1;
      const cuda::Divider by(divisor, most);
      std::int64_t wrong = 0;
      for (std::int64_t i = 0; i <= std::min<std::int64_t>(most, 9999); ++i)
        for (const std::int64_t x : {i, most - i})
          wrong += by(static_cast<int>(x)) != x / divisor;
      CHECK(wrong == 0);
    }
    CHECK_THROWS_WITH_AS(cuda::Divider(65536, 65536),
                         "[cuda] 65536 / 65536 by multiplication", Error);
  }

  TEST_CASE("block_sum, one after the other in one kernel") {
    for (const auto schedule :
         {emulator::Schedule::kForward, emulator::Schedule::kReverse})
      for (const unsigned threads : {32u, 96u, 1024u}) {
        CAPTURE(threads);
        emulator::set_schedule(schedule);
        constexpr int kSums = 3;
        double sums[kSums] = {};
        emulator::run_grid(dim3(1), dim3(threads), [&] {
          for (int i = 0; i < kSums; ++i) {
            const double sum =
                cuda::block_sum<double>((threadIdx.x + 1) * (i + 1));
            if (threadIdx.x == 0) sums[i] = sum;
          }
        });
        emulator::set_schedule(emulator::Schedule::kForward);
        for (int i = 0; i < kSums; ++i)
          CHECK(sums[i] == (i + 1) * threads * (threads + 1) / 2);
      }
  }

  TEST_CASE("warp_sum and warp_max reach every lane") {
    std::vector<float> sums(64), tops(64);
    emulator::run_grid(dim3(1), dim3(64), [&] {
      const unsigned t = threadIdx.x;
      const float v = t < 32 ? -1.0f - static_cast<float>(t) : 2.0f;
      sums[t] = cuda::warp_sum(v);
      tops[t] = cuda::warp_max(v);
    });
    for (std::size_t t = 0; t < 64; ++t) {
      CHECK(sums[t] == (t < 32 ? -528.0f : 64.0f));
      CHECK(tops[t] == (t < 32 ? -1.0f : 2.0f));
    }
  }
}

}  // namespace
