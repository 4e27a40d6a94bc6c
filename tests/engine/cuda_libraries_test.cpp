// gemm.cpp and convolution.cpp themselves, on the libraries of tests/libraries:
// that what they ask for is the mathematics their headers promise.
#include <doctest/doctest.h>

#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "engine/core/buffer.h"
#include "engine/core/device_runtime.h"
#include "engine/cuda/convolution.h"
#include "engine/cuda/gemm.h"
#include "tests/emulator/reals.h"
#include "tests/libraries/libraries.h"
#include "tests/support/golden.h"
#include "tests/support/margin.h"
#include "tests/support/reference.h"

namespace {

using namespace music;
using namespace music::test;
using namespace music::cuda;
using libraries::calls;
using libraries::settings;

constexpr DType kTypes[] = {DType::kF32, DType::kF16, DType::kBF16};

// A tensor of any type, at an offset from an aligned address.
struct Data {
  DType dtype;
  Buffer buffer;
  std::byte* data;
  std::int64_t count;

  Data(const std::string& name, std::int64_t n, DType type,
       std::size_t shift = 0)
      : dtype(type),
        buffer(static_cast<std::size_t>(n) * size_of(type) + shift,
               Memory::kDevice),
        data(buffer.as<std::byte>() + shift),
        count(n) {
    const auto values = hashed(name, n, 2);
    for (std::int64_t i = 0; i < n; ++i)
      emulator::set_real(
          data, dtype, i,
          static_cast<double>(values[static_cast<std::size_t>(i)]));
  }
  double operator[](std::int64_t i) const {
    return emulator::real(data, dtype, i);
  }
  reference::Array array(Dims dims) const {
    std::vector<double> v;
    for (std::int64_t i = 0; i < count; ++i) v.push_back((*this)[i]);
    return reference::Array(dims, v);
  }
};

double bound(DType type) {
  return type == DType::kF32 ? 1e-6 : type == DType::kF16 ? 1e-3 : 8e-3;
}

Within close(double value, double expected, DType type) {
  return within(std::abs(value - expected) / (4 + std::abs(expected)),
                bound(type), name_of(type));
}

// Row-major, as gemm.h has it. shift: bytes of each pointer behind 256.
void check_product(GemmSpec s, float alpha, float beta, std::size_t shift = 0) {
  const std::int64_t a_rows = s.transpose_a ? s.k : s.m;
  const std::int64_t b_rows = s.transpose_b ? s.n : s.k;
  const Data a("a", a_rows * s.lda, s.input, shift),
      b("b", b_rows * s.ldb, s.input, shift),
      c("c", s.m * s.ldc, s.output, shift), bias("bias", s.n, s.output);
  std::vector<double> before;
  for (std::int64_t i = 0; i < c.count; ++i) before.push_back(c[i]);
  const Gemm gemm(s);
  const Buffer workspace(gemm.workspace_bytes(), Memory::kDevice);
  gemm.run(a.data, b.data, c.data, s.bias ? bias.data : nullptr, alpha, beta,
           workspace.data(), nullptr);
  for (std::int64_t i = 0; i < s.m; ++i)
    for (std::int64_t j = 0; j < s.ldc; ++j) {
      const double old = before[static_cast<std::size_t>(i * s.ldc + j)];
      if (j >= s.n) {  // behind a row
        REQUIRE(c[i * s.ldc + j] == old);
        continue;
      }
      double sum = 0;
      for (std::int64_t l = 0; l < s.k; ++l)
        sum += a[s.transpose_a ? l * s.lda + i : i * s.lda + l] *
               b[s.transpose_b ? j * s.ldb + l : l * s.ldb + j];
      sum = alpha * sum + beta * old + (s.bias ? bias[j] : 0);
      REQUIRE(close(c[i * s.ldc + j], sum, s.output));
    }
}

template <typename F>
std::string message_of(F&& fn) {
  try {
    fn();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

void check_convolutions(const Shape& x_shape, const Shape& w_shape,
                        Conv2dSpec spec, DType dtype) {
  const auto out = [&](int axis) {
    return (x_shape[axis] + 2 * spec.pad - w_shape[axis]) / spec.stride + 1;
  };
  const Shape y_shape = {x_shape[0], out(1), out(2), w_shape[0]};
  const Data x("x", x_shape.elements(), dtype),
      w("w", w_shape.elements(), dtype), dy("dy", y_shape.elements(), dtype);
  const auto dims = [](const Shape& s) {
    const auto d = s.dims();
    return Dims(d.begin(), d.end());
  };
  const auto y_true = reference::conv2d(
      x.array(dims(x_shape)), w.array(dims(w_shape)), spec.stride, spec.pad);
  const auto d_true = reference::conv2d_backward(
      x.array(dims(x_shape)), w.array(dims(w_shape)), dy.array(dims(y_shape)),
      spec.stride, spec.pad);
  const auto run = [&](ConvolutionPass pass, const Data& a, const Data& b,
                       const Shape& shape, const reference::Array& truth) {
    const Convolution c({x_shape, w_shape, y_shape, spec, dtype}, pass);
    const Data result("result", shape.elements(), dtype);
    const Buffer workspace(c.workspace_bytes(), Memory::kDevice);
    c.run(a.data, b.data, result.data, workspace.data(), nullptr);
    for (std::int64_t i = 0; i < result.count; ++i)
      REQUIRE(close(result[i], truth.data[static_cast<std::size_t>(i)], dtype));
  };
  run(ConvolutionPass::kForward, x, w, y_shape, y_true);
  run(ConvolutionPass::kBackwardData, dy, w, x_shape, d_true.dx);
  run(ConvolutionPass::kBackwardWeights, x, dy, w_shape, d_true.dw);
}

TEST_SUITE("cuda_libraries") {
  TEST_CASE("products of every form") {
    for (const DType input : kTypes)
      for (const bool wide : {false, true})
        for (const bool bias : {false, true})
          for (const int form : {0, 1, 2, 3}) {
            CAPTURE(std::string(name_of(input)));
            CAPTURE(form);
            GemmSpec s{.m = 5, .n = 7, .k = 3};
            s.transpose_a = form & 1, s.transpose_b = form & 2;
            s.lda = (s.transpose_a ? s.m : s.k) + 2;
            s.ldb = (s.transpose_b ? s.k : s.n) + 1;
            s.ldc = s.n + 3;
            s.input = input, s.output = wide ? DType::kF32 : input;
            s.bias = bias;
            check_product(s, 1, 0);
            check_product(s, 0.5f, 1);
          }
  }

  TEST_CASE("products of columns inside a matrix, which are less aligned") {
    GemmSpec s{.m = 4, .n = 6, .k = 8, .lda = 9, .ldb = 7, .ldc = 11};
    s.alignment = 4;
    check_product(s, 1, 0, 4);
    CHECK(message_of([&] {
            check_product(s, 1, 0, 2);
          }).starts_with("[gemm] pointers"));
    // Rows of 256 bytes that begin on 16.
    check_product({.m = 2, .n = 64, .k = 64, .lda = 64, .ldb = 64, .ldc = 64},
                  1, 0, 16);
  }

  TEST_CASE("without tensor cores plain instructions, without any one line") {
    const GemmSpec s{.m = 3,
                     .n = 3,
                     .k = 3,
                     .lda = 3,
                     .ldb = 3,
                     .ldc = 3,
                     .input = DType::kF16,
                     .output = DType::kF16};
    settings.no_tensor_cores = true;
    calls = {};
    check_product(s, 1, 0);
    CHECK(calls.heuristics == 2);
    settings.no_algorithm = true;
    CHECK(
        message_of([&] { check_product(s, 1, 0); }) ==
        "[gemm] cuBLASLt 130000 has no algorithm on Plain (compute capability "
        "9.0) for F16 3x3x3 to F16, leading dimensions 3, 3, 3");
    settings = {};
  }

  TEST_CASE("convolutions of every pass, type and geometry") {
    for (const DType dtype : kTypes) {
      CAPTURE(std::string(name_of(dtype)));
      check_convolutions({2, 5, 6, 3}, {4, 3, 3, 3}, {1, 1}, dtype);
      check_convolutions({1, 9, 7, 4}, {5, 7, 7, 4}, {2, 3}, dtype);
      check_convolutions({2, 6, 5, 8}, {3, 1, 1, 8}, {2, 0}, dtype);
      check_convolutions({1, 4, 4, 1}, {2, 2, 3, 1}, {1, 0}, dtype);
    }
  }

  TEST_CASE("an algorithm is searched once, or advised where asked or short") {
    calls = {};
    check_convolutions({1, 3, 3, 2}, {2, 1, 1, 2}, {1, 0}, DType::kF16);
    CHECK(calls.searches == 3);
    check_convolutions({1, 3, 3, 2}, {2, 1, 1, 2}, {1, 0}, DType::kF16);
    CHECK(calls.searches == 3);
    CHECK(calls.convolutions == 6);
    setenv("MUSIC_TUNE", "0", 1);
    check_convolutions({1, 3, 4, 2}, {2, 1, 1, 2}, {1, 0}, DType::kF16);
    unsetenv("MUSIC_TUNE");
    settings.free_bytes = 2 * cuda::kMostWorkspace;
    check_convolutions({1, 3, 5, 2}, {2, 1, 1, 2}, {1, 0}, DType::kF16);
    settings = {};
    CHECK(calls.searches == 3);
    CHECK(calls.advice == 6);
  }

  TEST_CASE("algorithms are timed on numbers, not on zeros") {
    for (const DType dtype : kTypes) {
      CAPTURE(std::string(name_of(dtype)));
      calls = {};
      // x takes more than one block, and a part of one, in every type.
      check_convolutions({1, 37, 1000, 29}, {1, 1, 1, 29}, {4, 0}, dtype);
      CHECK(calls.searches == 3);
      CHECK(calls.idle_searches == 0);
    }
  }

  TEST_CASE("what is not to be had is one line") {
    const ConvolutionProblem p{
        {1, 4, 6, 2}, {3, 1, 1, 2}, {1, 4, 6, 3}, {1, 0}, DType::kF16};
    settings.no_deterministic = true;
    CHECK(message_of([&] { Convolution(p, ConvolutionPass::kForward); }) ==
          "[conv2d] cuDNN 9.19.0 has no deterministic forward of F16 on Plain "
          "(compute capability 9.0) with input [1,4,6,2], weight [3,1,1,2], "
          "stride 1, pad 0 in 512 MiB");
    settings = {};
    const Convolution c(p, ConvolutionPass::kForward);
    const Data x("x", 48, DType::kF16), w("w", 6, DType::kF16),
        y("y", 72, DType::kF16);
    const Buffer workspace(c.workspace_bytes(), Memory::kDevice);
    settings.fail_run = true;
    const std::string what = message_of(
        [&] { c.run(x.data, w.data, y.data, workspace.data(), nullptr); });
    settings = {};
    CHECK(
        what.starts_with("[cuda] CUDNN_STATUS_EXECUTION_FAILED (plain loops) "
                         "from Pass::kRun("));
    CHECK(what.find("convolution.cpp:") != std::string::npos);
    CHECK(what.find('\n') == std::string::npos);
    settings.major = 7, settings.minor = 5;
    CHECK(message_of([&] {
            Convolution({p.x, p.w, p.y, p.spec, DType::kBF16},
                        ConvolutionPass::kForward);
          }) ==
          "[conv2d] Plain has compute capability 7.5, BF16 needs 8.0: use F16");
    settings = {};
  }
}

}  // namespace
