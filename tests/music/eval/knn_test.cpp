// kNN scores against brute force in double and against scikit-learn, on any
// number of processes.
#include "music/eval/knn.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "engine/core/error.h"
#include "engine/core/rng.h"
#include "tests/dist/world.h"
#include "tests/support/golden.h"
#include "tests/support/reference_knn.h"

namespace {

using namespace music;
using namespace music::test;

struct Set {
  std::vector<float> values;
  std::vector<int> labels;
  std::int64_t width = 0;

  Rows rows() const {
    return {values.data(), static_cast<std::int64_t>(labels.size()), width};
  }
  operator LabelledRows() const { return {rows(), labels}; }
  // Rows begin to end - 1.
  Set part(std::int64_t begin, std::int64_t end) const {
    return {{values.begin() + begin * width, values.begin() + end * width},
            {labels.begin() + begin, labels.begin() + end},
            width};
  }
};

// Classes are directions, hidden in noise; whole: small whole numbers, so that
// there are ties.
Set make(std::int64_t n, std::int64_t width, int classes, std::uint32_t stream,
         bool whole = false) {
  Set s;
  s.width = width;
  Rng rng(5, RngPurpose::kTest, stream);
  for (std::int64_t i = 0; i < n; ++i) {
    const auto c = static_cast<int>(rng.below(static_cast<std::uint32_t>(classes)));
    s.labels.push_back(c);
    for (std::int64_t j = 0; j < width; ++j) {
      const double v = rng.normal() + (j % classes == c ? 1.2 : 0);
      s.values.push_back(static_cast<float>(whole ? std::round(v) : v));
    }
  }
  return s;
}

void check_reference(const Set& bank, const Set& test, int classes,
                     KnnSpec spec) {
  spec.predictions = true;
  const auto scores = knn(bank, test, classes, spec);
  REQUIRE(scores.size() == spec.k.size() * spec.temperatures.size());
  std::vector<ReferenceNeighbours> nearest;
  for (std::size_t q = 0; q < test.labels.size(); ++q)
    nearest.push_back(reference_neighbours(
        bank.values, test.values.data() + static_cast<std::int64_t>(q) * bank.width,
        bank.width));
  std::size_t at = 0;
  for (const int k : spec.k)
    for (const double t : spec.temperatures) {
      const KnnScore& score = scores[at++];
      CAPTURE(k);
      CAPTURE(t);
      CHECK(score.k == k);
      CHECK(score.temperature == t);
      std::vector<int> predicted;
      int first = 0, five = 0;
      for (std::size_t q = 0; q < test.labels.size(); ++q) {
        const auto ranking =
            reference_ranking(nearest[q], bank.labels, classes, k, t);
        predicted.push_back(ranking[0]);
        const auto end = ranking.begin() + std::min<std::ptrdiff_t>(
                                               5, std::ssize(ranking));
        first += ranking[0] == test.labels[q];
        five += std::find(ranking.begin(), end, test.labels[q]) != end;
      }
      const double n = static_cast<double>(test.labels.size());
      CHECK(score.predicted == predicted);
      CHECK(score.top1 == 100 * first / n);
      CHECK(score.top5 == 100 * five / n);
    }
}

std::string message(const Set& bank, const Set& test, int classes,
                    const KnnSpec& spec = {}) {
  try {
    knn(bank, test, classes, spec);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

double uniform(const std::string& name, std::int64_t i) {
  return hash32(name, static_cast<std::uint64_t>(i)) / 4294967296.0 - 0.5;
}

TEST_SUITE_BEGIN("knn");

TEST_CASE("predictions and scores of brute force") {
  KnnSpec spec;
  spec.k = {20, 1, 300, 5};
  spec.temperatures = {0.07, 1, 0.005};
  check_reference(make(300, 17, 12, 1), make(80, 17, 12, 2), 12, spec);
  check_reference(make(300, 5, 7, 3, true), make(80, 5, 7, 4, true), 7, spec);
}

TEST_CASE("predictions of scikit-learn") {
  const Golden golden("knn");
  const auto shape = golden.integers("shape");
  const std::int64_t width = shape[2];
  const auto classes = static_cast<int>(shape[3]);
  const auto make_set = [&](const std::string& name, std::int64_t n) {
    Set s;
    s.width = width;
    for (std::int64_t i = 0; i < n; ++i) {
      const auto c = static_cast<std::int64_t>(
          hash32(name + "/labels", static_cast<std::uint64_t>(i)) %
          static_cast<std::uint32_t>(classes));
      s.labels.push_back(static_cast<int>(c));
      for (std::int64_t j = 0; j < width; ++j) {
        s.values.push_back(static_cast<float>(
            0.6 * uniform("knn/centres", c * width + j) +
            uniform(name, i * width + j)));
      }
    }
    return s;
  };
  KnnSpec spec;
  spec.predictions = true;
  spec.k.clear();
  for (const std::int64_t k : golden.integers("k"))
    spec.k.push_back(static_cast<int>(k));
  spec.temperatures = golden.get("temperature");
  const auto scores = knn(make_set("knn/train", shape[0]),
                          make_set("knn/test", shape[1]), classes, spec);
  CHECK(scores.size() == 8);
  for (const KnnScore& s : scores) {
    const std::string name = fmt::format("predicted/{}/{}", s.k, s.temperature);
    const auto expected = golden.integers(name);
    CAPTURE(name);
    CHECK(std::equal(s.predicted.begin(), s.predicted.end(), expected.begin(),
                     expected.end()));
  }
}

TEST_CASE("a class without a vote is not among the first five") {
  KnnSpec spec;
  spec.k = {1, 5};
  const auto scores = knn(make(200, 8, 10, 1), make(100, 8, 10, 2), 10, spec);
  CHECK(scores[0].top5 == scores[0].top1);
  CHECK(scores[1].top5 > scores[1].top1);
  CHECK(scores[0].predicted.empty());
}

TEST_CASE("equal votes go to the lower label") {
  // Four equally near neighbours of classes 3, 1, 3, 1.
  const Set bank{{1, 0, 1, 0, 2, 0, 4, 0, -1, 0}, {3, 1, 3, 1, 0}, 2};
  const Set test{{1, 0}, {3}, 2};
  KnnSpec spec;
  spec.k = {1, 2, 3, 4};
  spec.predictions = true;
  const auto scores = knn(bank, test, 4, spec);
  const std::vector<int> expected{3, 1, 3, 1};
  for (std::size_t i = 0; i < 4; ++i)
    CHECK(scores[i].predicted == std::vector<int>{expected[i]});
  CHECK(scores[3].top1 == 0);
  CHECK(scores[3].top5 == 100);
}

TEST_CASE("temperatures at which a vote would overflow or vanish") {
  KnnSpec spec;
  spec.k = {1, 20};
  spec.temperatures = {1e-6, 0.07};
  const auto scores = knn(make(200, 8, 4, 1), make(100, 8, 4, 2), 4, spec);
  CHECK(scores[2].top1 == scores[0].top1);  // the nearest decides alone
  CHECK(scores[2].top5 == scores[3].top5);  // four classes: all with a vote
}

TEST_CASE("votes far below the nearest one's keep their order") {
  // Seven neighbours of classes 0, 6, 5, ..., 1, each farther than the last.
  Set bank{{}, {0, 6, 5, 4, 3, 2, 1}, 2};
  for (const float s : {1.0f, .9f, .7f, .5f, .3f, -.3f, -.9f}) {
    bank.values.push_back(s);
    bank.values.push_back(std::sqrt(1 - s * s));
  }
  KnnSpec spec;
  spec.k = {7};
  spec.temperatures = {1e-6, 1e-3, 0.07, 1};
  for (const int truth : {0, 1, 2, 3, 6}) {
    const auto scores = knn(bank, Set{{1, 0}, {truth}, 2}, 7, spec);
    CAPTURE(truth);
    for (const KnnScore& s : scores) {
      CHECK(s.top1 == (truth == 0 ? 100 : 0));
      CHECK(s.top5 == (truth == 1 || truth == 2 ? 0 : 100));
    }
  }
  // Away from all of them, nothing is above 0.
  CHECK(knn(bank, Set{{-1, -.1f}, {1}, 2}, 7, spec)[0].top1 == 100);
}

TEST_CASE("of equally near images the earlier ones vote, wherever others stand") {
  // Of five equal ones and two nearer the three nearest are those two and the
  // first of the five: FAISS's inner product takes the third.
  const std::vector<float> equal{.6f, .8f}, nearer{1, 0};
  for (const bool last : {true, false}) {
    Set bank{{}, {}, 2};
    const auto add = [&](const std::vector<float>& row, int label) {
      bank.values.insert(bank.values.end(), row.begin(), row.end());
      bank.labels.push_back(label);
    };
    if (!last) add(nearer, 6), add(nearer, 6);
    for (int c = 5; c > 0; --c) add(equal, c);
    if (last) add(nearer, 6), add(nearer, 6);
    KnnSpec spec;
    spec.k = {3};
    for (int c = 1; c < 7; ++c)
      CHECK(knn(bank, Set{{1, 0}, {c}, 2}, 7, spec)[0].top5 == (c > 4 ? 100 : 0));
  }
}

TEST_CASE("what does not fit is named") {
  const Set bank = make(30, 4, 3, 1), test = make(10, 4, 3, 2);
  KnnSpec spec;
  spec.k = {20, 31};
  CHECK(message(bank, test, 3, spec) ==
        "[knn] k 31 and a bank of 30 images: expected k from 1 to 30");
  spec.k = {30};
  CHECK(message(bank, test, 3, spec).empty());
  CHECK(message(bank, test, 2, spec).find("label 2, expected 0 to 1") !=
        std::string::npos);
  Set unlabelled = test;
  unlabelled.labels[3] = -1;
  CHECK(message(bank, unlabelled, 3, spec).find("test images have a label -1") !=
        std::string::npos);
  Set nan = bank;
  nan.values[8] = NAN;
  CHECK(message(nan, test, 3, spec).find("row 2 of the training images") !=
        std::string::npos);
  Set broken = test;
  broken.values[9] = INFINITY;
  CHECK(message(bank, broken, 3, spec).find("row 2 of the test images") !=
        std::string::npos);
}

TEST_CASE("the bank shared out over processes") {
  const Set bank = make(101, 9, 6, 1, true), test = make(57, 9, 6, 2, true);
  KnnSpec spec;
  spec.k = {3, 45};  // more than one process has
  spec.temperatures = {0.07, 0.5};
  spec.predictions = true;
  spec.blocks = {10, 16};
  std::vector<std::int64_t> chosen;
  for (std::int64_t i = 0; i < 101; i += 1 + i % 2) chosen.push_back(i);
  for (const bool part : {false, true}) {
    spec.chosen.reset();
    if (part) spec.chosen = chosen;
    const auto expected = knn(bank, test, 6, spec);
    // Uneven: rank 1 has no row.
    const int size = world().size(), rank = world().rank();
    const auto cut = [&](int r) {
      return r == 0 ? 0 : r == 1 || (r == 2 && size > 2) ? 40 : 101;
    };
    const std::int64_t begin = cut(rank), end = rank + 1 == size ? 101 : cut(rank + 1);
    std::vector<std::int64_t> mine;
    for (const std::int64_t i : chosen)
      if (i >= begin && i < end) mine.push_back(i - begin);
    if (part) spec.chosen = mine;
    const auto scores = knn(bank.part(begin, end), test, 6, spec, &world());
    REQUIRE(scores.size() == expected.size());
    for (std::size_t i = 0; i < scores.size(); ++i) {
      CHECK(scores[i].predicted == expected[i].predicted);
      CHECK(scores[i].top1 == expected[i].top1);
      CHECK(scores[i].top5 == expected[i].top5);
    }
  }
}

TEST_SUITE_END();

}  // namespace
