// What the paper says of the loss's optimum (2.4 and Appendix B), as it is: values,
// independence, what a batch can reach, and where gradients lead (docs/theory.md).

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <vector>

#include "engine/core/buffer.h"
#include "engine/core/rng.h"
#include "music/loss/cpu/joint_entropy.h"
#include "music/method/health.h"
#include "tests/support/loss_cases.h"
#include "tests/support/margin.h"
#include "tests/support/reference_loss.h"

namespace {

using namespace music;
using test::near;
using test::within;
using Codes = std::vector<std::vector<int>>;  // [n][segments]

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

struct Evaluation {
  JointEntropyTerms terms;
  std::vector<float> dz1, dz2;
};

Evaluation evaluate(const std::vector<float>& z1, const std::vector<float>& z2,
                    const Segments& segments, const JointEntropySpec& spec = {}) {
  const std::int64_t n = std::ssize(z1) / segments.units();
  const cpu::JointEntropy kernel({n, &segments, spec, 1});
  Buffer workspace(kernel.workspace_bytes());
  Evaluation e;
  e.dz1.resize(z1.size()), e.dz2.resize(z2.size());
  std::vector<float> mean_q(at(2 * segments.units()));
  kernel.run(z1.data(), z2.data(), e.dz1.data(), e.dz2.data(), mean_q.data(),
             e.terms, workspace.data());
  return e;
}

// Logits of one-hot codes.
std::vector<float> one_hot(const Codes& codes, const Segments& segments) {
  std::vector<float> z;
  for (const auto& code : codes)
    for (std::int64_t s = 0; s < segments.count(); ++s)
      for (int d = 0; d < segments.size(s); ++d)
        z.push_back(d == code[at(s)] ? 60.0f : 0.0f);
  return z;
}

JointEntropyTerms terms_of(const Codes& codes, const Segments& segments) {
  const auto z = one_hot(codes, segments);
  return evaluate(z, z, segments).terms;
}

// Every combination of units once.
Codes all_codes(const std::vector<std::int64_t>& sizes) {
  Codes codes{{}};
  for (const std::int64_t size : sizes) {
    Codes longer;
    for (const auto& code : codes)
      for (int d = 0; d < size; ++d) {
        longer.push_back(code);
        longer.back().push_back(d);
      }
    codes = std::move(longer);
  }
  return codes;
}

// (a, b, a + b) mod size: each pair of segments takes each pair of units once.
Codes sums(int size) {
  Codes codes;
  for (int a = 0; a < size; ++a)
    for (int b = 0; b < size; ++b) codes.push_back({a, b, (a + b) % size});
  return codes;
}

Codes random_codes(int n, const Segments& segments, std::uint32_t seed) {
  Codes codes(at(n));
  for (std::size_t i = 0; i < codes.size(); ++i)
    for (std::int64_t s = 0; s < segments.count(); ++s)
      codes[i].push_back(static_cast<int>(
          Rng(seed, RngPurpose::kTest, static_cast<std::uint32_t>(i),
              static_cast<std::uint32_t>(s))
              .below(static_cast<std::uint32_t>(segments.size(s)))));
  return codes;
}

// P of views that agree, [D,D] in double.
std::vector<double> joint(const std::vector<float>& z1, const std::vector<float>& z2,
                          const Segments& segments) {
  return test::reference_loss(test::widen(z1), test::widen(z2),
                              std::ssize(z1) / segments.units(), segments, {}).p;
}

// Mutual information of the most redundant pair of segments, by P.
double most_information(const std::vector<double>& p, const Segments& segments) {
  double most = 0;
  for (std::int64_t s = 0; s < segments.count(); ++s)
    for (std::int64_t t = 0; t < segments.count(); ++t) {
      if (s == t) continue;
      std::vector<double> rows(at(segments.size(s))), columns(at(segments.size(t)));
      const auto cell = [&](std::int64_t d, std::int64_t e) {
        return p[at((segments.begin(s) + d) * segments.units() + segments.begin(t) + e)];
      };
      for (std::int64_t d = 0; d < segments.size(s); ++d)
        for (std::int64_t e = 0; e < segments.size(t); ++e)
          rows[at(d)] += cell(d, e), columns[at(e)] += cell(d, e);
      double information = 0;
      for (std::int64_t d = 0; d < segments.size(s); ++d)
        for (std::int64_t e = 0; e < segments.size(t); ++e)
          if (cell(d, e) > 0)
            information += cell(d, e) * std::log(cell(d, e) / (rows[at(d)] * columns[at(e)]));
      most = std::max(most, information);
    }
  return most;
}

// Where gradient descent leads logits that are free, from a seeded start.
struct Start {
  double common = 0;  // deviation of what all segments share: redundant codes
  double bias = 0;    // of unit 0: nearly collapsed codes
};
struct End {
  JointEntropyTerms terms;
  double sureness = 0;   // mean of the largest q
  double agreement = 0;  // sum_d P(s,s,d,d), mean over the segments
  double usage = 0;      // H(mean q) / log D_s, the least
  double information = 0;  // of the most redundant pair
};

End descend(const Segments& segments, const JointEntropySpec& spec,
            const Start& start = {}, int steps = 400) {
  const std::int64_t n = 256, width = segments.units(), size = segments.size(0);
  Rng rng(3, RngPurpose::kTest);
  std::vector<float> z[2], speed[2];
  std::vector<double> shared(at(n * size));
  for (double& v : shared) v = start.common * rng.normal();
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t u = 0; u < width; ++u) {
      const double mean = 0.2 * rng.normal() + shared[at(i * size + u % size)] +
                          (u % size == 0 ? start.bias : 0);
      for (auto& view : z) view.push_back(static_cast<float>(mean + 0.06 * rng.normal()));
    }
  for (auto& v : speed) v.assign(z[0].size(), 0);
  End end;
  const cpu::JointEntropy kernel({n, &segments, spec, 1});
  Buffer workspace(kernel.workspace_bytes());
  std::vector<float> dz[2] = {z[0], z[1]}, mean_q(at(2 * width));
  for (int step = 0; step < steps; ++step) {
    kernel.run(z[0].data(), z[1].data(), dz[0].data(), dz[1].data(), mean_q.data(),
               end.terms, workspace.data());
    for (int v = 0; v < 2; ++v)
      for (std::size_t k = 0; k < z[v].size(); ++k) {
        speed[v][k] = 0.9f * speed[v][k] - 20 * dz[v][k];
        z[v][k] += speed[v][k];
      }
  }
  end.terms = evaluate(z[0], z[1], segments, spec).terms;
  const auto p = joint(z[0], z[1], segments);
  const auto q = test::reference_softmax(test::widen(z[0]), n, segments, 1);
  const std::int64_t count = segments.count();
  for (std::size_t k = 0; k < q.size(); k += at(size))
    end.sureness += *std::max_element(q.begin() + std::ptrdiff_t(k),
                                      q.begin() + std::ptrdiff_t(k) + size) /
                    static_cast<double>(n * count);
  end.usage = 1;
  for (std::int64_t s = 0; s < count; ++s) {
    double entropy = 0;
    for (std::int64_t d = 0; d < size; ++d) {
      const std::int64_t u = s * size + d;
      double mean = 0;
      for (std::int64_t i = 0; i < n; ++i)
        mean += q[at(i * width + u)] / static_cast<double>(n);
      entropy -= mean > 0 ? mean * std::log(mean) : 0;
      end.agreement += p[at(u * width + u)] / static_cast<double>(count);
    }
    end.usage = std::min(end.usage, entropy / std::log(static_cast<double>(size)));
  }
  end.information = most_information(p, segments);
  return end;
}

}  // namespace

TEST_SUITE("theory") {
  TEST_CASE("the optimum's values: equal segments") {
    for (const int size : {3, 4, 8}) {
      const auto segments = Segments::equal(3 * size, size);
      const auto found = terms_of(sums(size), segments);
      CHECK(near(found.de, -std::log(size), 2e-6));
      CHECK(near(found.oe, -2 * std::log(size), 2e-6));
      CHECK(within(std::abs(found.ti), 1e-6));
      const auto ideal = loss_lines(segments, {}, size * size).ideal;
      CHECK(near(found.total, ideal.total, 2e-6));
    }
  }

  TEST_CASE("the optimum's values: uneven segments") {
    const std::vector<std::int64_t> sizes{3, 4, 5, 7};
    const auto segments = Segments::uneven(sizes);
    const auto found = terms_of(all_codes(sizes), segments);
    double de = 0, oe = 0;
    for (std::size_t s = 0; s < 4; ++s) {
      de -= std::log(static_cast<double>(sizes[s])) / 4;
      for (std::size_t t = 0; t < 4; ++t)
        if (s != t) oe -= std::log(static_cast<double>(sizes[s] * sizes[t])) / 12;
    }
    CHECK(near(found.de, de, 2e-6));
    CHECK(near(found.oe, oe, 2e-6));
    CHECK(within(std::abs(found.ti), 1e-6));
    CHECK(near(found.total, loss_lines(segments, {}, 420).ideal.total, 2e-6));
  }

  TEST_CASE("nothing is below the optimum; of two units DE is") {
    for (std::uint32_t stream = 0; stream < 30; ++stream)
      for (const int size : {3, 5}) {
        const auto segments = Segments::equal(3 * size, size);
        const auto z = test::logits(20, segments, 0.2 * stream, stream);
        const auto found =
            evaluate(z, test::second_view(z, 0.02 * stream), segments).terms;
        CHECK(found.de > -std::log(size) - 1e-5);
        CHECK(found.oe > -2 * std::log(size) - 1e-5);
        CHECK(found.ti > -1e-6);
      }
    // One-hot codes of two units have P = 1/2; x log x is least at 1/e. Views that
    // agree by 2/e reach it: q (1-q) = (1 - 2/e) / 2.
    const auto segments = Segments::equal(2, 2);
    const double gap = std::log(1 / ((1 - std::sqrt(4 / std::exp(1) - 1)) / 2) - 1);
    const std::vector<float> z{static_cast<float>(gap), 0, 0, static_cast<float>(gap)};
    CHECK(near(evaluate(z, z, segments).terms.de, -2 / std::exp(1), 2e-6));
    CHECK(near(terms_of({{0}, {1}}, segments).de, -std::log(2), 2e-6));
  }

  TEST_CASE("at the optimum segments share no information, and covariances are B-11's") {
    const std::vector<std::int64_t> sizes{3, 4, 6};
    const auto segments = Segments::uneven(sizes);
    const auto z = one_hot(all_codes(sizes), segments);
    const auto p = joint(z, z, segments);
    CHECK(within(most_information(p, segments), 1e-6));
    const auto mean = [&](std::int64_t s) { return 1 / static_cast<double>(sizes[at(s)]); };
    for (std::int64_t s = 0; s < 3; ++s)
      for (std::int64_t t = 0; t < 3; ++t)
        for (std::int64_t d = 0; d < segments.size(s); ++d)
          for (std::int64_t e = 0; e < segments.size(t); ++e) {
            const double covariance =
                p[at((segments.begin(s) + d) * segments.units() +
                     segments.begin(t) + e)] - mean(s) * mean(t);
            // B-12 within a segment; its diagonal is the variance.
            const double expected =
                s != t ? 0 : d == e ? mean(s) * (1 - mean(s)) : -mean(s) * mean(s);
            CHECK(within(std::abs(covariance - expected), 1e-6));
          }
  }

  TEST_CASE("at the optimum any functions of two segments are uncorrelated") {
    const auto codes = sums(5);
    for (std::uint32_t t = 0; t < 20; ++t) {
      Rng rng(t, RngPurpose::kTest);
      std::array<std::array<double, 5>, 3> f{};
      for (auto& table : f)
        for (double& v : table) v = rng.normal();
      for (std::size_t s = 0; s < 3; ++s)
        for (std::size_t other = 0; other < s; ++other) {
          double product = 0, one = 0, two = 0;
          for (const auto& code : codes) {
            const double a = f[s][at(code[s])], b = f[other][at(code[other])];
            product += a * b / 25, one += a / 25, two += b / 25;
          }
          CHECK(within(std::abs(product - one * two), 1e-12));
        }
    }
  }

  TEST_CASE("pairs are all the loss sees: a third segment may be told by two") {
    // (a, b, a + b) is at the optimum as all_codes is, with a third of its codes.
    const auto segments = Segments::equal(15, 5);
    const auto found = terms_of(sums(5), segments);
    const auto free = terms_of(all_codes({5, 5, 5}), segments);
    CHECK(near(found.total, free.total, 2e-6));
  }

  TEST_CASE("one-hot codes of a batch are never below its floor, soft ones are") {
    const auto segments = Segments::equal(64, 16);
    const auto line = [&](int n) { return loss_lines(segments, {}, n).oe_floor; };
    CHECK(near(line(50), -std::log(50), 1e-12));
    CHECK(near(line(1000), -2 * std::log(16), 1e-12));
    for (const int n : {5, 50, 300})
      for (std::uint32_t seed = 0; seed < 5; ++seed)
        CHECK(terms_of(random_codes(n, segments, seed), segments).oe > line(n) - 1e-5);
    // No pair of units twice: the floor is reached.
    const auto seven = Segments::equal(21, 7);
    Codes codes = sums(7);
    CHECK(near(terms_of(codes, seven).oe, -std::log(49), 2e-6));
    codes.resize(20);
    CHECK(near(terms_of(codes, seven).oe, -std::log(20), 2e-6));
    CHECK(near(loss_lines(seven, {}, 20).oe_floor, -std::log(20), 1e-12));
    const std::vector<float> uniform(20 * 21, 0.0f);
    CHECK(near(evaluate(uniform, uniform, seven).terms.oe, -2 * std::log(7), 2e-6));
  }

  TEST_CASE("free logits flow to one-hot, balanced, independent codes") {
    for (const auto& segments : {Segments::equal(12, 4), Segments::equal(16, 8)}) {
      const End end = descend(segments, {});
      const auto ideal = loss_lines(segments, {}, 256).ideal;
      CHECK(end.sureness > 0.97);
      CHECK(end.agreement > 0.96);
      CHECK(end.usage > 0.98);
      // Independent one-hot codes of 256 images show (D_S-1)^2/2n by chance.
      const double chance = std::pow(static_cast<double>(segments.size(0)) - 1, 2) / 512;
      CHECK(within(end.information, 3 * chance));
      CHECK(within(end.terms.total - ideal.total, 0.4));
    }
  }

  TEST_CASE("what flows without TI, without DE, without OE") {
    const auto segments = Segments::equal(12, 4);
    // DE alone makes codes one-hot, as Appendix B has it; TI does it sooner.
    const End without_ti = descend(segments, {.ti = 0});
    CHECK(without_ti.sureness > 0.9);
    CHECK(without_ti.usage > 0.98);
    CHECK(descend(segments, {.ti = 0}, {}, 80).sureness <
          descend(segments, {}, {}, 80).sureness - 0.1);
    // OE with TI as well: what is one-hot and pairwise uniform is balanced.
    const End without_de = descend(segments, {.de = 0});
    CHECK(without_de.sureness > 0.95);
    CHECK(without_de.usage > 0.98);
    // OE alone is at its least where training starts, and stays there.
    const End oe = descend(segments, {.de = 0, .ti = 0});
    CHECK(near(oe.terms.oe, -2 * std::log(4), 1e-3));
    CHECK(oe.sureness < 0.5);
  }

  TEST_CASE("from nearly collapsed codes: TI alone collapses, OE spreads them") {
    const auto segments = Segments::equal(12, 4);
    const Start collapsed{.bias = 1.5};
    CHECK(within(descend(segments, {.de = 0, .oe = 0}, collapsed).usage, 0.1));
    CHECK(within(descend(segments, {.oe = 0}, collapsed).usage, 0.6));
    CHECK(descend(segments, {}, collapsed).usage > 0.9);
    CHECK(descend(segments, {.ti = 0}, collapsed).usage > 0.98);
  }

  TEST_CASE("from redundant codes: OE takes the redundancy away, TI holds some") {
    const auto segments = Segments::equal(12, 4);
    const Start redundant{.common = 1};
    const double without_oe = descend(segments, {.oe = 0}, redundant).information;
    const double all = descend(segments, {}, redundant).information;
    const double without_ti = descend(segments, {.ti = 0}, redundant).information;
    CHECK(without_oe > 0.5);
    CHECK(all < 0.7 * without_oe);
    CHECK(without_ti < 0.2 * all);
  }

  TEST_CASE("two units a segment: codes stay soft unless TI weighs 1 - log 2") {
    // With all samples alike and balanced, DE + ti TI of the agreement a is
    // a log(a/2) - ti log a: least at 2/e for ti = 0, at a = 1 from 1 - log 2 on.
    const auto segments = Segments::equal(6, 2);
    const auto agreement = [&](double ti) {
      return descend(segments, {.ti = ti}).agreement;
    };
    CHECK(within(std::abs(agreement(0) - 2 / std::exp(1)), 0.02));
    // log(a/2) + 1 = 0.1 / a
    CHECK(within(std::abs(agreement(0.1) - 0.8300), 0.02));
    CHECK(agreement(1) > 0.97);
    const End ideal = descend(segments, {});
    CHECK(ideal.usage > 0.99);
    CHECK(within(ideal.information, 0.02));
    // DE says the same of uniform codes and of ideal ones.
    const auto lines = loss_lines(segments, {}, 256);
    CHECK(near(lines.uniform.de, lines.ideal.de, 1e-12));
  }
}
