// Whole MUSIC training steps against PyTorch, and the two views stacked
// against two passes.
#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

#include "engine/ops/scale.h"
#include "music/loss/cpu/joint_entropy.h"
#include "tests/support/golden_run.h"
#include "tests/support/margin.h"

namespace {

using namespace music;
using namespace music::test;

TEST_SUITE("parity") {
  TEST_CASE("five steps with LARS and with SGD follow PyTorch") {
    for (const std::string kind : {"lars", "sgd"}) check_golden_steps(kind);
  }

  // The method runs one pass per view; the engine stacks them and gives
  // batch_norm two groups.
  TEST_CASE("two passes of one view and one stacked pass agree") {
    const Golden golden("music_step");
    const Shape view = view_shape(golden);
    const auto x = views(golden, 0);
    Net stacked;
    const auto stacked_terms = StackedStep(stacked, view).step(x);

    Net separate;
    Parameters& p = separate.parameters;
    const std::int64_t n = view[0], units = separate.segments.units();
    const auto pass = [&](int index, const std::vector<float>& dz, bool keep) {
      Graph g(p);
      const Value images = g.input("images", view, DType::kF32);
      const Value z = separate.forward(g, images, 1);
      const Value dy = g.input("dz", {n, units}, DType::kF32);
      g.keep(z);
      backward(g, inject_gradient(g, z, dy), g.constant({1}, 1));
      BoundExecutable run(std::move(g), p);
      run->set_input(images, x.data() + index * view.elements());
      run->set_input(dy, dz.data());
      std::vector<std::vector<float>> buffers;
      for (std::size_t i = 0; i < p.buffers().size(); ++i)
        buffers.push_back(floats(p.buffer(static_cast<int>(i))));
      run->run();
      for (std::size_t i = 0; i < buffers.size() && !keep; ++i)
        std::copy(buffers[i].begin(), buffers[i].end(),
                  p.buffer(static_cast<int>(i)).f32());
      return floats(run->tensor(z));
    };
    const std::vector<float> none(static_cast<std::size_t>(n * units), 0.0f);
    std::vector<float> z[2], dz[2] = {none, none};
    for (const int i : {0, 1}) z[i] = pass(i, none, true);
    const cpu::JointEntropy loss({n, &separate.segments, {}});
    Buffer workspace(loss.workspace_bytes());
    std::vector<float> mean_q(static_cast<std::size_t>(2 * units));
    JointEntropyTerms terms;
    loss.run(z[0].data(), z[1].data(), dz[0].data(), dz[1].data(),
             mean_q.data(), terms, workspace.data());
    CHECK(near(terms.total, stacked_terms[3], 1e-6));

    std::vector<double> sum(static_cast<std::size_t>(p.flat_elements()));
    for (const int i : {0, 1}) {
      pass(i, dz[i], false);
      for (std::size_t j = 0; j < sum.size(); ++j)
        sum[j] += p.flat_gradients()[j];
    }
    // Each is off the truth by up to 6e-6, in its own direction.
    constexpr double kBothRounded = 5e-5;
    for (std::size_t i = 0; i < p.table().size(); ++i) {
      CAPTURE(p.table()[i].name);
      const auto from = sum.begin() + p.table()[i].offset;
      const std::vector<double> expected(
          from, from + p.table()[i].shape.elements());
      CHECK(within(norm_relative(
                       floats(stacked.parameters.gradient(static_cast<int>(i))),
                       expected, gradient_floor(p.table()[i].name)),
                   kBothRounded));
    }
    for (std::size_t i = 0; i < p.buffers().size(); ++i) {
      CAPTURE(p.buffers()[i].name);
      const int b = static_cast<int>(i);
      CHECK(within(norm_relative(floats(stacked.parameters.buffer(b)),
                                 floats(p.buffer(b))),
                   1e-6));
    }
  }

  TEST_CASE("the planner's re-use changes no bit of five steps") {
    const Golden golden("music_step");
    const auto trained = [&](bool reuse) {
      Net net;
      StackedStep graph(net, view_shape(golden), {.reuse_memory = reuse});
      const auto optimizer = make_optimizer(net.parameters, {});
      for (int step = 0; step < 5; ++step) {
        graph.step(views(golden, step));
        optimizer->step(0.5);
      }
      const float* v = net.parameters.flat_values();
      return std::vector<float>(v, v + net.parameters.flat_elements());
    };
    const auto on = trained(true), off = trained(false);
    CHECK(std::memcmp(on.data(), off.data(), on.size() * sizeof(float)) == 0);
  }
}

}  // namespace
