#include "music/eval/knn.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "music/eval/cpu/similarity.h"

namespace music {
namespace {

std::vector<float> normalised(const Features& f) {
  std::vector<float> out(f.values);
#pragma omp parallel for schedule(static)
  for (std::int64_t i = 0; i < f.count; ++i) {
    float* row = out.data() + i * f.width;
    double square = 0;
    for (std::int64_t j = 0; j < f.width; ++j) square += double{row[j]} * row[j];
    const float factor =
        square > 0 ? static_cast<float>(1 / std::sqrt(square)) : 0.0f;
    for (std::int64_t j = 0; j < f.width; ++j) row[j] *= factor;
  }
  return out;
}

void check_labels(const Features& f, int classes, const char* which) {
  for (int label : f.labels)
    if (label < 0 || label >= classes)
      throw error(ExitCode::kData,
                  "[knn] the {} images have a label {}, expected 0 to {}: "
                  "class sub-folders or a labelled list", which, label,
                  classes - 1);
}

}  // namespace

std::vector<KnnScore> knn(const Features& train, const Features& test,
                          int classes, const std::vector<int>& k,
                          double temperature) {
  check_labels(train, classes, "training");
  check_labels(test, classes, "test");
  MUSIC_CHECK(train.width == test.width && train.count > 0 && test.count > 0,
              "[knn] {} training rows of {}, {} test rows of {}", train.count,
              train.width, test.count, test.width);
  const std::vector<float> a = normalised(test), b = normalised(train);
  const std::int64_t most =
      std::min<std::int64_t>(train.count, *std::max_element(k.begin(), k.end()));
  constexpr std::int64_t kBlock = 128;
  std::vector<float> similarity(static_cast<std::size_t>(kBlock * train.count));
  std::vector<std::int64_t> hit1(k.size()), hit5(k.size());

  for (std::int64_t begin = 0; begin < test.count; begin += kBlock) {
    const std::int64_t rows = std::min(kBlock, test.count - begin);
    cpu::dot_products(a.data() + begin * test.width, rows, b.data(),
                      train.count, test.width, similarity.data());
#pragma omp parallel
    {
      std::vector<std::int32_t> order(static_cast<std::size_t>(train.count));
      std::vector<double> votes(static_cast<std::size_t>(classes));
#pragma omp for schedule(static)
      for (std::int64_t r = 0; r < rows; ++r) {
        const float* s = similarity.data() + r * train.count;
        std::iota(order.begin(), order.end(), 0);
        const auto nearer = [s](std::int32_t x, std::int32_t y) {
          return s[x] != s[y] ? s[x] > s[y] : x < y;
        };
        std::nth_element(order.begin(), order.begin() + (most - 1), order.end(),
                         nearer);
        std::sort(order.begin(), order.begin() + most, nearer);
        const int truth = test.labels[static_cast<std::size_t>(begin + r)];
        for (std::size_t i = 0; i < k.size(); ++i) {
          std::fill(votes.begin(), votes.end(), 0.0);
          for (std::int64_t n = 0; n < std::min<std::int64_t>(k[i], most); ++n) {
            const std::int32_t neighbour = order[static_cast<std::size_t>(n)];
            votes[static_cast<std::size_t>(
                train.labels[static_cast<std::size_t>(neighbour)])] +=
                std::exp(s[neighbour] / temperature);
          }
          const double mine = votes[static_cast<std::size_t>(truth)];
          int ahead = 0;
          for (int c = 0; c < classes; ++c) {
            const double v = votes[static_cast<std::size_t>(c)];
            ahead += v > mine || (v == mine && c < truth);
          }
#pragma omp atomic
          hit1[i] += ahead < 1;
#pragma omp atomic
          hit5[i] += ahead < 5;
        }
      }
    }
  }
  std::vector<KnnScore> scores;
  for (std::size_t i = 0; i < k.size(); ++i) {
    const double n = static_cast<double>(test.count);
    scores.push_back({k[i], 100 * static_cast<double>(hit1[i]) / n,
                      100 * static_cast<double>(hit5[i]) / n});
  }
  return scores;
}

}  // namespace music
