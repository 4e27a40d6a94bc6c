#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

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

bool is_nan(float v) { return std::isnan(v); }

// A NaN in the input of a max_pool or a relu of these channels and dtype.
void check_nan(bool pool, std::int64_t channels, DType dtype) {
  Parameters p;
  p.set_storage({.device = Device::kCuda});
  p.allocate();
  Graph g(p);
  const Value x = g.input("x", {1, 4, 4, channels}, DType::kF32);
  const Value narrow = cast(g, x, dtype);
  const Value y = cast(
      g, pool ? max_pool(g, narrow, {3, 2, 1}) : relu(g, narrow), DType::kF32);
  g.keep(y);
  BoundExecutable run(std::move(g), p);
  std::vector<float> data(static_cast<std::size_t>(16 * channels), 1.0f);
  data[static_cast<std::size_t>(5 * channels)] = std::nanf("");
  run.set_input(x, data.data());
  run.run();
  const auto result = floats(run->tensor(y), Device::kCuda);
  // Position (1,1) is in each of the four windows.
  CHECK(std::count_if(result.begin(), result.end(), is_nan) == (pool ? 4 : 1));
}

TEST_SUITE("cuda_ops") {
  TEST_CASE("add") { check_op("add"); }
  TEST_CASE("batch_norm") { check_op("batch_norm"); }
  TEST_CASE("cast") { check_op("cast"); }
  TEST_CASE("column_deviation") { check_op("column_deviation"); }
  TEST_CASE("concat_rows") { check_op("concat_rows"); }
  TEST_CASE("contrastive") { check_op("contrastive"); }
  TEST_CASE("conv2d") { check_op("conv2d"); }
  TEST_CASE("conv2d, products by gemm") {
    setenv("MUSIC_CONV_1X1", "gemm", 1);
    check_op("conv2d");
    unsetenv("MUSIC_CONV_1X1");
  }
  TEST_CASE("cross_entropy") { check_op("cross_entropy"); }
  TEST_CASE("conv2d_norm") { check_op("conv2d_norm"); }
  TEST_CASE("avg_pool") { check_op("avg_pool"); }
  TEST_CASE("global_avg_pool") { check_op("global_avg_pool"); }
  TEST_CASE("image_normalize") { check_op("image_normalize"); }
  TEST_CASE("inner") { check_op("inner"); }
  TEST_CASE("interleave_rows") { check_op("interleave_rows"); }
  TEST_CASE("l2_normalize") { check_op("l2_normalize"); }
  TEST_CASE("linear") { check_op("linear"); }
  TEST_CASE("max_pool") { check_op("max_pool"); }
  TEST_CASE("normalize_rows_in_place") { check_op("normalize_rows_in_place"); }
  TEST_CASE("push_rows") { check_op("push_rows"); }
  TEST_CASE("queue_contrastive") { check_op("queue_contrastive"); }
  TEST_CASE("reduce") { check_op("reduce"); }
  TEST_CASE("relu") { check_op("relu"); }
  TEST_CASE("roi_align") { check_op("roi_align"); }
  TEST_CASE("row_inner") { check_op("row_inner"); }
  TEST_CASE("scale") { check_op("scale"); }
  TEST_CASE("segment_softmax") { check_op("segment_softmax"); }
  TEST_CASE("sinkhorn") { check_op("sinkhorn"); }
  TEST_CASE("slice_rows") { check_op("slice_rows"); }
  TEST_CASE("soft_cross_entropy") { check_op("soft_cross_entropy"); }
  TEST_CASE("top_hits") { check_op("top_hits"); }

  TEST_CASE("a NaN comes through relu and max_pool") {
    on_device([] {
      for (const bool pool : {false, true})
        for (const std::int64_t channels : {3, 8})
          for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16})
            check_nan(pool, channels, dtype);
    });
  }

  TEST_CASE("a box on no image becomes NaN and has no gradient") {
    on_device([] {
      for (const float bad : {2.0f, 0.5f, -2.0f, std::nanf("")}) {
        Parameters p;
        const int slot = p.add("x", {2, 3, 3, 1}, Init::constant(1));
        p.set_storage({.training = true, .device = Device::kCuda});
        p.allocate();
        p.initialise(0);
        Graph g(p);
        const Value rois = g.input("rois", {3, 5}, DType::kF32);
        const Value y = roi_align(g, g.parameter(slot), rois, {1, 1});
        g.keep(y);
        backward(g, inject_gradient(g, y, g.constant({3, 1, 1, 1}, 1)),
                 g.constant({1}, 1));
        BoundExecutable run(std::move(g), p);
        const std::vector<float> boxes{bad, 1, 1, 2, 2, -1, 1, 1, 2, 2,
                                       1,   1, 1, 2, 2};
        run.set_input(rois, boxes.data());
        run.run();
        const auto result = floats(run->tensor(y), Device::kCuda);
        CHECK(is_nan(result[0]));
        CHECK(result[1] == 0);
        CHECK(result[2] == 1);
        const auto d = floats(p.gradient(slot), Device::kCuda);
        CHECK(std::count(d.begin(), d.begin() + 9, 0.0f) == 9);
        CHECK(d[9 + 4] == 1);
      }
    });
  }

  TEST_CASE("a position outside the queue becomes NaN, the queue stays") {
    on_device([] {
      for (const float bad : {-1.0f, 6.0f, std::nanf("")}) {
        Parameters p;
        const int queue = p.add_buffer("queue", {6, 2}, 0.5);
        const int at = p.add_buffer("position", {1}, 0);
        p.set_storage({.device = Device::kCuda});
        p.allocate();
        p.initialise(0);
        upload(p.buffer(at).data, &bad, sizeof bad, Device::kCuda);
        Graph g(p);
        push_rows(g, g.buffer(queue), g.buffer(at), g.constant({3, 2}, 1));
        BoundExecutable run(std::move(g), p);
        run.run();
        CHECK(is_nan(floats(p.buffer(at), Device::kCuda)[0]));
        CHECK(floats(p.buffer(queue), Device::kCuda) ==
              std::vector<float>(12, 0.5f));
      }
    });
  }

  TEST_CASE("codes: a column of sum 0 stays 0, a NaN stays") {
    on_device([] {
      for (const bool bad : {false, true}) {
        Parameters p;
        p.set_storage({.device = Device::kCuda});
        p.allocate();
        Graph g(p);
        const Value x = g.input("x", {2, 3}, DType::kF32);
        const Value y = sinkhorn(g, x, 0.05, 3);
        g.keep(y);
        BoundExecutable run(std::move(g), p);
        std::vector<float> s = {0.5f, -19, 0.1f, 0.2f, -19, 0.9f};
        if (bad) s[1] = std::nanf("");
        run.set_input(x, s.data());
        run.run();
        const auto q = floats(run->tensor(y), Device::kCuda);
        for (std::size_t i = 0; i < 6; ++i)
          CHECK((bad        ? is_nan(q[i])
                 : i % 3 == 1 ? q[i] == 0
                              : q[i] > 0));
      }
    });
  }

  TEST_CASE("a label outside the classes makes its row and the loss NaN") {
    on_device([] {
      for (const std::int32_t bad : {-1, 4, std::int32_t{1} << 30}) {
        Parameters p;
        const int slot = p.add("z", {3, 4}, {});
        p.set_storage({.training = true, .device = Device::kCuda});
        p.allocate();
        Graph g(p);
        const Value labels = g.input("labels", {3}, DType::kI32);
        const Value loss = cross_entropy(g, g.parameter(slot), labels);
        g.keep(loss);
        backward(g, loss, g.constant({1}, 1));
        BoundExecutable run(std::move(g), p);
        const std::vector<std::int32_t> y = {0, bad, 3};
        run.set_input(labels, y.data());
        run.run();
        CHECK(is_nan(floats(run->tensor(loss), Device::kCuda)[0]));
        const auto d = floats(p.gradient(slot), Device::kCuda);
        for (std::size_t i = 0; i < d.size(); ++i)
          CHECK(is_nan(d[i]) == (i / 4 == 1));
      }
    });
  }
}

}  // namespace
