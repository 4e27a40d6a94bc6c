// Boxes, anchors, coder, matcher, suppression, pasting and RoIAlign against
// torchvision, and by hand.
#include "music/detect/boxes.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <omp.h>

#include <cmath>
#include <numeric>
#include <vector>

#include "engine/graph/autograd.h"
#include "engine/ops/roi_align.h"
#include "engine/ops/cast.h"
#include "music/detect/anchors.h"
#include "music/detect/box_coder.h"
#include "music/detect/matcher.h"
#include "music/detect/nms.h"
#include "music/detect/paste.h"
#include "tests/support/golden.h"
#include "tests/support/graph_run.h"
#include "tests/support/margin.h"

namespace {

using namespace music;
using namespace music::detect;
using music::test::Golden;
using music::test::max_relative;
using music::test::near;
using music::test::within;

constexpr double kTolerance = 1e-5;  // of torchvision, relative, from 1 on

std::vector<float> values(const Golden& g, const std::string& name) {
  const auto v = g.get(name);
  return {v.begin(), v.end()};
}

std::vector<Box> boxes(const Golden& g, const std::string& name) {
  const auto v = values(g, name);
  std::vector<Box> out;
  for (std::size_t i = 0; i + 3 < v.size(); i += 4)
    out.push_back({v[i], v[i + 1], v[i + 2], v[i + 3]});
  return out;
}

std::vector<float> flat(const std::vector<Box>& boxes) {
  std::vector<float> v;
  for (const Box& b : boxes) v.insert(v.end(), {b.x1, b.y1, b.x2, b.y2});
  return v;
}

template <typename T>
std::vector<std::int32_t> narrow(const std::vector<T>& v) {
  return {v.begin(), v.end()};
}

TEST_SUITE("boxes") {
  TEST_CASE("roi_align is torchvision's, forward and backward") {
    const Golden g("detection");
    for (int i = 0; i < 4; ++i) {
      const std::string at = fmt::format("align{}/", i);
      const test::Dims xs = g.shape(at + "x");
      const auto spec = g.get(at + "spec");
      const auto layout = [&](const std::string& name) {
        return test::channels_last(values(g, at + name), g.shape(at + name));
      };
      Parameters p;
      const int slot = p.add("x", {xs[0], xs[2], xs[3], xs[1]}, {});
      p.set_storage({.training = true});
      p.allocate();
      const auto x = layout("x"), dy = layout("dy");
      std::copy(x.begin(), x.end(), p.value(slot).f32());
      Graph graph(p);
      const auto rois = values(g, at + "rois");
      const Value boxes = graph.input("rois", Shape(g.shape(at + "rois")), DType::kF32);
      const Value y = roi_align(
          graph, graph.parameter(slot), boxes,
          {static_cast<int>(spec[0]), static_cast<float>(spec[1])});
      graph.keep(y);
      const Value d = graph.input("dy", graph.shape(y), DType::kF32);
      backward(graph, test::inject_gradient(graph, y, d), graph.constant({1}, 1));
      test::BoundExecutable run(std::move(graph), p);
      run.set_input(boxes, rois.data());
      run.set_input(d, dy.data());
      run.run();
      CHECK(within(max_relative(test::floats(run->tensor(y)), layout("y")),
                   kTolerance, "forward"));
      CHECK(within(max_relative(test::floats(p.gradient(slot)), layout("dx")),
                   kTolerance, "backward"));
      // The same bits on other numbers of threads.
      const auto whole = test::floats(run->tensor(y));
      const auto gradient = test::floats(p.gradient(slot));
      const int threads = omp_get_max_threads();
      for (const int n : {1, 3}) {
        omp_set_num_threads(n);
        run.run();
        CHECK(test::floats(run->tensor(y)) == whole);
        CHECK(test::floats(p.gradient(slot)) == gradient);
      }
      omp_set_num_threads(threads);
    }
  }

  TEST_CASE("overlaps are torchvision's, to the bit") {
    const Golden g("detection");
    const auto a = boxes(g, "iou/a"), b = boxes(g, "iou/b");
    CHECK(pairwise_iou(a, b) == values(g, "iou/iou"));
    CHECK(iou({}, {}) == 0);
    CHECK(iou({0, 0, 2, 2}, {2, 0, 4, 2}) == 0);
    CHECK(iou({0, 0, 4, 2}, {2, 0, 4, 2}) == 0.5f);
    CHECK(clip({-3, 5, 12, 40}, 20, 10) == Box{0, 5, 10, 20});
  }

  TEST_CASE("what nms keeps is what torchvision's keeps") {
    const Golden g("detection");
    for (int i = 0; i < 6; ++i) {
      const std::string at = fmt::format("nms{}/", i);
      CAPTURE(at);
      const auto all = boxes(g, at + "boxes");
      const auto scores = values(g, at + "scores");
      const double threshold = g.scalar(at + "threshold");
      CHECK(nms(all, scores, threshold) == narrow(g.integers(at + "kept")));
      CHECK(nms_by_class(all, scores, narrow(g.integers(at + "classes")),
                         threshold) ==
            narrow(g.integers(at + "kept_by_class")));
    }
    CHECK(nms({}, {}, 0.5).empty());
    // At the threshold both stay; equal scores: the first goes first.
    const std::vector<Box> pair{{0, 0, 4, 2}, {2, 0, 4, 2}};
    const std::vector<float> scores{0.5f, 0.5f};
    CHECK(nms(pair, scores, 0.5) == std::vector<std::int32_t>{0, 1});
    CHECK(nms(pair, scores, 0.49) == std::vector<std::int32_t>{0});
    CHECK(nms_by_class(pair, scores, std::vector<std::int32_t>{1, 0}, 0.1) ==
          std::vector<std::int32_t>{0, 1});
  }

  TEST_CASE("classes far apart do not round each other's boxes") {
    // Moved by 90 x 1001, .706 would be .703.
    const std::vector<Box> all{
        {0, 0, 1, 1}, {0, 0, 1, 0.706f}, {999, 999, 1000, 1000}};
    const std::vector<float> scores{0.9f, 0.8f, 0.7f};
    const std::vector<std::int32_t> classes{90, 90, 0}, expected{0, 2};
    CHECK(nms_by_class(all, scores, classes, 0.705) == expected);
    std::vector<Box> moved = all;
    for (Box& b : moved)
      if (b.x1 == 0) b = {b.x1 + 90090, b.y1 + 90090, b.x2 + 90090, b.y2 + 90090};
    CHECK(nms(moved, scores, 0.705).size() == 3);
  }

  TEST_CASE("the coder is torchvision's") {
    const Golden g("detection");
    const auto from = boxes(g, "iou/a"), target = boxes(g, "iou/b");
    const CoderWeights weights[] = {{}, {10, 10, 5, 5}};
    for (int i = 0; i < 2; ++i) {
      const auto at = fmt::format("coder{}/", i);
      std::vector<float> encoded;
      std::vector<Box> decoded;
      const auto deltas = values(g, at + "deltas");
      for (std::size_t k = 0; k < from.size(); ++k) {
        const Deltas d = encode(from[k], target[k], weights[i]);
        encoded.insert(encoded.end(), {d.dx, d.dy, d.dw, d.dh});
        decoded.push_back(decode(from[k],
                                 {deltas[4 * k], deltas[4 * k + 1],
                                  deltas[4 * k + 2], deltas[4 * k + 3]},
                                 weights[i]));
      }
      CHECK(within(max_relative(encoded, values(g, at + "encoded")), kTolerance));
      CHECK(within(max_relative(flat(decoded), values(g, at + "decoded")),
                   kTolerance));
    }
    const CoderWeights head{10, 10, 5, 5};
    const Deltas d = encode({10, 20, 50, 100}, {14, 16, 64, 96}, head);
    CHECK(d.dx == 2.25f);
    CHECK(d.dy == -0.5f);
    CHECK(near(static_cast<double>(d.dw), 1.1157177, 1e-6));
    CHECK(d.dh == 0);
    const Box far = decode({10, 20, 50, 100}, {1, -2, 100, -1}, head);
    CHECK(near(static_cast<double>(far.x1), -1216.0001, 1e-6));
    CHECK(near(static_cast<double>(far.y2), 76.749229, 1e-6));
  }

  TEST_CASE("the matcher is torchvision's") {
    const Golden g("detection");
    const MatcherSpec specs[] = {kAnchorMatcher, kProposalMatcher};
    for (int i = 0; i < 2; ++i) {
      const auto at = fmt::format("matcher{}/", i);
      const auto truths = boxes(g, at + "truths");
      const auto candidates = boxes(g, at + "candidates");
      const auto matches =
          match_boxes(pairwise_iou(truths, candidates), truths.size(),
                      candidates.size(), specs[i]);
      std::vector<std::int64_t> truth, label;
      for (const Match& m : matches) {
        truth.push_back(m.truth);
        label.push_back(static_cast<std::int64_t>(m.label));
      }
      CHECK(truth == g.integers(at + "truth"));
      CHECK(label == g.integers(at + "label"));
    }
    CHECK(match_boxes({}, 0, 3, kAnchorMatcher)[2].label ==
          MatchLabel::kBackground);
    // A truth that nothing touches; ties of the best keep their own truth.
    const std::vector<float> nothing{0, 0, 0.4f, 0.2f};
    for (const Match& m : match_boxes(nothing, 2, 2, kAnchorMatcher)) {
      CHECK(m.label == MatchLabel::kForeground);
      CHECK(m.truth == 1);
    }
  }

  TEST_CASE("anchors") {
    const Golden g("detection");
    CHECK(flat(grid_anchors({}, 3, 5)) == values(g, "anchors"));
    const auto all = grid_anchors({}, 50, 76);
    CHECK(all.size() == 57000);
    const auto is = [&](std::size_t i, double x1, double y1, double x2, double y2) {
      const float v[] = {all[i].x1, all[i].y1, all[i].x2, all[i].y2};
      const double expected[] = {x1, y1, x2, y2};
      for (int k = 0; k < 4; ++k)
        CHECK(near(static_cast<double>(v[k]), expected[k], 1e-6));
    };
    is(0, -22.627417, -11.313708, 22.627417, 11.313708);
    is(15, -6.627417, -11.313708, 38.627418, 11.313708);
    is(1140, -22.627417, 4.686292, 22.627417, 27.313708);
    is(56999, 1018.98065, 421.96133, 1381.01929, 1146.03870);
    double sum = 0;
    for (const float v : flat(all)) sum += static_cast<double>(v);
    CHECK(near(sum, 113088000.08, 1e-9));
  }

  TEST_CASE("pasted masks are grid_sample's from the threshold on") {
    const Golden g("detection");
    for (int i = 0; i < 3; ++i) {
      const auto at = fmt::format("paste{}/", i);
      const auto expected = g.get(at + "values");
      const auto shape = g.shape(at + "values");
      const auto pixels = rle_to_pixels(
          paste_mask(values(g, at + "p"), 14, boxes(g, at + "box")[0],
                     static_cast<std::uint32_t>(shape[0]),
                     static_cast<std::uint32_t>(shape[1])));
      for (std::size_t k = 0; k < pixels.size(); ++k)
        if (std::abs(expected[k] - 0.5) > 1e-5)
          CHECK((pixels[k] != 0) == (expected[k] >= 0.5));
    }
    const std::vector<float> ones(196, 1);
    const auto count = [&](const Box& box) {
      return rle_area(paste_mask(ones, 14, box, 60, 60));
    };
    CHECK(count({10, 10, 24, 24}) == 196);
    CHECK(count({10.5f, 10.5f, 24.5f, 24.5f}) == 221);
    CHECK(count({10, 10, 38, 38}) == 784);
    CHECK(count({10.25f, 10.25f, 31.75f, 31.75f}) == 480);
    CHECK(count({10, 10, 13, 13}) == 9);
    CHECK(count({10, 10, 10, 13}) == 0);
    CHECK(count({-5, -5, 5, 5}) == 25);
  }

  TEST_CASE("a box on no image, or without an end, is an error that names it") {
    for (const auto& [image, x2] :
         {std::pair{2.0f, 9.0f}, {0.5f, 9.0f}, {0.0f, INFINITY}, {0.0f, NAN},
          {0.0f, 1e9f}, {-2.0f, 9.0f}}) {
      Parameters p;
      p.allocate();
      Graph graph(p);
      const Value x = graph.input("x", {2, 4, 4, 1}, DType::kF32);
      const Value rois = graph.input("rois", {2, 5}, DType::kF32);
      graph.keep(roi_align(graph, x, rois, {2, 1}));
      test::BoundExecutable run(std::move(graph), p);
      const std::vector<float> map(32, 1);
      const std::vector<float> boxes{-1, 0, 0, 0, 0, image, 1, 1, x2, 3};
      run.set_input(x, map.data());
      run.set_input(rois, boxes.data());
      CHECK_THROWS_WITH_AS(
          run->run(),
          fmt::format("[roi_align] box 1 is (1, 1, {}, 3) on image {}, expected "
                      "finite corners on an image of 2, or the image -1", x2, image)
              .c_str(),
          Error);
    }
  }
}

}  // namespace
