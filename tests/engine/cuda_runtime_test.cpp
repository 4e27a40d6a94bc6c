#include "engine/core/device_runtime.h"

#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

#include "engine/core/buffer.h"
#include "engine/core/error.h"
#include "tests/support/cuda_device.h"

namespace {

using namespace music;
using namespace music::test;

std::vector<int> read(const Buffer& b) {
  std::vector<int> v(b.bytes() / sizeof(int));
  download(v.data(), b.data(), b.bytes(), Device::kCuda);
  return v;
}

TEST_SUITE("cuda_runtime") {
  TEST_CASE("memory is zeroed, filled, written and read") {
    on_device([] {
      Buffer b(12, Memory::kDevice);
      CHECK(read(b) == std::vector<int>{0, 0, 0});
      b.fill(0xFF);
      CHECK(read(b) == std::vector<int>{-1, -1, -1});
      const int three[] = {1, 2, 3};
      upload(b.data(), three, sizeof three, Device::kCuda);
      CHECK(read(b) == std::vector<int>{1, 2, 3});
    });
  }

  TEST_CASE("a captured graph reads memory as it is at each launch") {
    on_device([] {
      cuda::Stream stream;
      Buffer pinned(4, Memory::kPinned), a(4, Memory::kDevice),
          b(4, Memory::kDevice);
      cuda::CapturedGraph graph;
      CHECK(!graph.ready());
      graph.begin(stream.get());
      cuda::copy(a.data(), pinned.data(), 4, stream.get());
      cuda::copy(b.data(), a.data(), 4, stream.get());
      graph.end(stream.get());
      REQUIRE(graph.ready());
      CHECK(read(b)[0] == 0);  // recorded, not run
      for (const int v : {5, 7}) {
        *pinned.as<int>() = v;
        graph.launch(stream.get());
        cuda::synchronize(stream.get());
        CHECK(read(b)[0] == v);
      }
    });
  }

  TEST_CASE("a device that is not there is one line") {
    on_device([] {
      const int count = cuda::device_count();
      CHECK_THROWS_WITH_AS(
          cuda::select_device(count),
          fmt::format("[cuda] device {} of {}: expected 0 to {}", count, count,
                      count - 1)
              .c_str(),
          Error);
    });
  }

  TEST_CASE("too much memory is one line that says what is free") {
    on_device([] {
      try {
        Buffer(std::size_t{1} << 45, Memory::kDevice);
        FAIL("allocated 32 TiB");
      } catch (const Error& e) {
        CHECK(e.code() == ExitCode::kUsage);
        const std::string what = e.what();
        CHECK(what.starts_with("[memory] cannot allocate 33554432.0 MiB on "));
        CHECK(what.find("are free; use a smaller batch") != std::string::npos);
      }
    });
  }
}

}  // namespace
