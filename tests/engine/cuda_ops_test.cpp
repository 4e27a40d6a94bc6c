#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <string>

#include "tests/support/cases.h"
#include "tests/support/cases_gpu.h"
#include "tests/support/cuda_device.h"

namespace {

using namespace music;
using namespace music::test;

// Runs the cases whose name begins with `op`.
void check_op(const std::string& op) {
  on_device([&] {
    std::map<DType, double> worst;
    int count = 0;
    std::vector<OpCase> cases = op_cases();
    for (OpCase& c : gpu_cases()) cases.push_back(std::move(c));
    for (const OpCase& c : cases) {
      if (c.name.substr(0, c.name.find(' ')) != op) continue;
      for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
        if (dtype != DType::kF32 && c.wide_only) continue;
        double& w = worst[dtype];
        w = std::max(w, check_case(c, {Device::kCuda, dtype}));
        ++count;
      }
    }
    CHECK(count > 0);
    std::string line;
    for (const auto& [dtype, error] : worst)
      line += fmt::format(" {} {:.1e}", name_of(dtype), error);
    MESSAGE(op << ": " << count << " cases, largest NMSE" << line);
  });
}

TEST_SUITE("cuda_ops") {
  TEST_CASE("add") { check_op("add"); }
  TEST_CASE("cast") { check_op("cast"); }
  TEST_CASE("conv2d") { check_op("conv2d"); }
  TEST_CASE("conv2d, products by gemm") {
    setenv("MUSIC_CONV_1X1", "gemm", 1);
    check_op("conv2d");
    unsetenv("MUSIC_CONV_1X1");
  }
  TEST_CASE("linear") { check_op("linear"); }
  TEST_CASE("reduce") { check_op("reduce"); }
  TEST_CASE("relu") { check_op("relu"); }
  TEST_CASE("scale") { check_op("scale"); }
}

}  // namespace
