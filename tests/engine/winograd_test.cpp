// Winograd convolution on every instruction set, beside sums in double.

#include "engine/cpu/winograd.h"

#include <doctest/doctest.h>
#include <fmt/core.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "engine/core/buffer.h"
#include "engine/core/rng.h"
#include "tests/support/instruction_sets.h"
#include "tests/support/margin.h"

namespace music::cpu {
namespace {

using Index = std::int64_t;
using Floats = std::vector<float>;

struct Problem {
  Index n, h, w, c, k;
  int pad;

  Index out_h() const { return h + 2 * pad - 2; }
  Index out_w() const { return w + 2 * pad - 2; }
  Shape x() const { return {n, h, w, c}; }
  Shape weights() const { return {k, 3, 3, c}; }
  Shape y() const { return {n, out_h(), out_w(), k}; }
  std::string name() const {
    return fmt::format("{}x{}x{}x{} to {}, pad {}", n, h, w, c, k, pad);
  }
};

// Blocks of one thread; the last panel a half; tiles that leave the map; weights too large
// for one thread's cache, in one block and in two; groups of tiles in one block each and
// in two.
const Problem kProblems[] = {
    {8, 8, 8, 32, 48, 1},   {5, 11, 13, 48, 32, 1},   {32, 4, 3, 32, 32, 1},
    {9, 10, 9, 64, 80, 0},  {9, 7, 6, 32, 64, 2},     {40, 12, 12, 32, 32, 1},
    {2, 16, 16, 272, 272, 1}, {67, 5, 5, 272, 272, 1},
    {20, 35, 36, 32, 48, 1}};

Floats random(const Shape& shape, std::uint64_t seed) {
  Rng rng(seed, RngPurpose::kTest);
  Floats values(static_cast<std::size_t>(shape.elements()));
  for (float& v : values) v = static_cast<float>(rng.uniform() - 0.5);
  return values;
}

std::size_t at(const Shape& s, Index a, Index b, Index c, Index d) {
  return static_cast<std::size_t>(((a * s[1] + b) * s[2] + c) * s[3] + d);
}

// One element of each result, in double.
struct Sums {
  const Problem& p;
  const Floats &x, &w, &dy;

  template <typename F>
  double taps(F&& term) const {
    double sum = 0;
    for (int r = 0; r < 3; ++r)
      for (int s = 0; s < 3; ++s) sum += term(r, s);
    return sum;
  }
  double y(Index n, Index i, Index j, Index k) const {
    return taps([&](int r, int s) {
      const Index a = i + r - p.pad, b = j + s - p.pad;
      double sum = 0;
      if (a >= 0 && b >= 0 && a < p.h && b < p.w)
        for (Index c = 0; c < p.c; ++c)
          sum += double{x[at(p.x(), n, a, b, c)]} * w[at(p.weights(), k, r, s, c)];
      return sum;
    });
  }
  double dx(Index n, Index i, Index j, Index c) const {
    return taps([&](int r, int s) {
      const Index a = i - r + p.pad, b = j - s + p.pad;
      double sum = 0;
      if (a >= 0 && b >= 0 && a < p.out_h() && b < p.out_w())
        for (Index k = 0; k < p.k; ++k)
          sum += double{dy[at(p.y(), n, a, b, k)]} * w[at(p.weights(), k, r, s, c)];
      return sum;
    });
  }
  double dw(Index k, Index r, Index s, Index c) const {
    double sum = 0;
    for (Index n = 0; n < p.n; ++n)
      for (Index i = 0; i < p.out_h(); ++i)
        for (Index j = 0; j < p.out_w(); ++j) {
          const Index a = i + r - p.pad, b = j + s - p.pad;
          if (a >= 0 && b >= 0 && a < p.h && b < p.w)
            sum += double{x[at(p.x(), n, a, b, c)]} * dy[at(p.y(), n, i, j, k)];
        }
    return sum;
  }
};

struct Results {
  Floats y, fused, dx, dw;
  bool operator==(const Results&) const = default;
};

Results run(const Problem& p, const Floats& x, const Floats& w, const Floats& dy,
            const Floats& bias) {
  // Nothing may be read before it is written.
  const auto workspace = [](std::size_t bytes) {
    Buffer b(bytes);
    b.fill(0xff);
    return b;
  };
  Results r;
  r.y.assign(dy.size(), NAN), r.dx.assign(x.size(), NAN), r.dw.assign(w.size(), NAN);
  const WinogradConvolution forward(p.x(), p.weights(), p.y(), p.pad, false);
  Buffer a = workspace(forward.workspace_bytes());
  forward.run(x.data(), w.data(), {}, r.y.data(), a.data());
  r.fused = dy;  // stands for a residual
  forward.run(x.data(), w.data(), {bias.data(), true, true}, r.fused.data(),
              a.data());
  const WinogradConvolution data(p.y(), p.weights(), p.x(), 2 - p.pad, true);
  Buffer b = workspace(data.workspace_bytes());
  data.run(dy.data(), w.data(), {}, r.dx.data(), b.data());
  const WinogradWeightGradient gradient(p.x(), p.y(), p.pad);
  Buffer c = workspace(gradient.workspace_bytes());
  gradient.run(x.data(), dy.data(), r.dw.data(), c.data());
  return r;
}

// The first, the last and some 60 elements between of a result.
struct Samples {
  std::vector<std::size_t> at;
  std::vector<double> values;
  double largest = 0;

  template <typename Value>
  Samples(const Shape& s, const Value& value) {
    const Index step = std::max<Index>(1, (s.elements() - 1) / 61);
    for (Index i = 0; i < s.elements(); i += step) {
      if (s.elements() - i <= step) i = s.elements() - 1;
      const Index c = i / s[3], b = c / s[2], a = b / s[1];
      at.push_back(static_cast<std::size_t>(i));
      values.push_back(value(a, b % s[1], c % s[2], i % s[3]));
      largest = std::max(largest, std::abs(values.back()));
    }
  }
  // The largest difference, over the largest value.
  double difference(const Floats& got) const {
    double worst = 0;
    for (std::size_t i = 0; i < at.size(); ++i) {
      const double off = std::abs(got[at[i]] - values[i]);
      worst = std::isnan(off) ? INFINITY : std::max(worst, off);
    }
    return worst / largest;
  }
};

TEST_SUITE("winograd") {
  TEST_CASE("every pass, on every instruction set, as sums in double") {
    for (const Problem& p : kProblems) {
      CAPTURE(p.name());
      const Floats x = random(p.x(), 1), w = random(p.weights(), 2),
                   dy = random(p.y(), 3), bias = random({p.k}, 4);
      const Sums sums{p, x, w, dy};
      const auto y = [&](Index n, Index i, Index j, Index k) {
        return sums.y(n, i, j, k);
      };
      const Samples plain(p.y(), y),
          fused(p.y(),
                [&](Index n, Index i, Index j, Index k) {
                  return std::max(0.0, y(n, i, j, k) +
                                           bias[static_cast<std::size_t>(k)] +
                                           dy[at(p.y(), n, i, j, k)]);
                }),
          dx(p.x(),
             [&](Index n, Index i, Index j, Index c) {
               return sums.dx(n, i, j, c);
             }),
          dw(p.weights(), [&](Index k, Index i, Index j, Index c) {
            return sums.dw(k, i, j, c);
          });
      test::for_each_instruction_set([&](const std::string& target) {
        CAPTURE(target);
        const Results r = run(p, x, w, dy, bias);
        CHECK(test::within(plain.difference(r.y), 2e-5, "forward"));
        CHECK(test::within(fused.difference(r.fused), 2e-5, "fused"));
        CHECK(test::within(dx.difference(r.dx), 2e-5, "data"));
        CHECK(test::within(dw.difference(r.dw), 2e-5, "weights"));
      });
    }
  }

  TEST_CASE("the same bits with any number of threads") {
    const int before = omp_get_max_threads();
    for (const Problem& p : kProblems) {
      CAPTURE(p.name());
      const Floats x = random(p.x(), 1), w = random(p.weights(), 2),
                   dy = random(p.y(), 3), bias = random({p.k}, 4);
      omp_set_num_threads(1);
      const Results one = run(p, x, w, dy, bias);
      // The last: more than the weights have panels.
      for (int threads : {2, 3, 7, 40}) {
        omp_set_num_threads(threads);
        CHECK(run(p, x, w, dy, bias) == one);
      }
    }
    omp_set_num_threads(before);
  }

  TEST_CASE("only where it gains") {
    const char* set = std::getenv("MUSIC_WINOGRAD");
    const std::string before = set ? set : "";
    setenv("MUSIC_WINOGRAD", "0", 1);
    CHECK_FALSE(winograd_pays({32, 3, 3, 32}, {8, 8, 8, 32}, {1, 1}));
    unsetenv("MUSIC_WINOGRAD");
    CHECK(winograd_pays({32, 3, 3, 32}, {8, 8, 8, 32}, {1, 1}));
    CHECK_FALSE(winograd_pays({32, 3, 3, 32}, {8, 8, 8, 32}, {2, 1}));
    CHECK_FALSE(winograd_pays({32, 1, 1, 32}, {8, 8, 8, 32}, {1, 0}));
    CHECK_FALSE(winograd_pays({32, 3, 3, 40}, {8, 8, 8, 32}, {1, 1}));
    CHECK_FALSE(winograd_pays({32, 3, 3, 16}, {8, 8, 8, 32}, {1, 1}));
    CHECK_FALSE(winograd_pays({32, 3, 3, 32}, {4, 8, 8, 32}, {1, 1}));
    CHECK_FALSE(winograd_pays({32, 3, 3, 32}, {64, 2, 2, 32}, {1, 1}));
    if (set) setenv("MUSIC_WINOGRAD", before.c_str(), 1);
  }
}

}  // namespace
}  // namespace music::cpu
