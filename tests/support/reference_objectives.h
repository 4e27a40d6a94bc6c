#pragma once
// Reference objectives: soft and contrastive cross-entropy, balanced codes.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "tests/support/reference_array.h"

namespace music::reference {

struct SoftCrossEntropy {
  double loss = 0;
  Array dlogits;
};

inline SoftCrossEntropy soft_cross_entropy(const Array& logits,
                                           const Array& targets,
                                           double temperature, double weight) {
  SoftCrossEntropy out{0, Array(logits.shape)};
  const std::int64_t k = logits.dim(1);
  for (std::int64_t at = 0; at < logits.size(); at += k) {
    double top = logits[at], sum = 0, mass = 0;
    for (std::int64_t i = at; i < at + k; ++i) top = std::max(top, logits[i]);
    for (std::int64_t i = at; i < at + k; ++i) {
      sum += std::exp((logits[i] - top) / temperature);
      mass += targets[i];
    }
    for (std::int64_t i = at; i < at + k; ++i) {
      const double log_p = (logits[i] - top) / temperature - std::log(sum);
      out.loss -= weight * targets[i] * log_p;
      out.dlogits[i] =
          weight / temperature * (mass * std::exp(log_p) - targets[i]);
    }
  }
  return out;
}

struct Contrastive {
  double loss = 0, correct = 0;
  Array dscores;
};

// Rows whose class is the column `positive[i]`; the column `self[i]` is left
// out (-1: none is).
inline Contrastive contrastive_rows(const Array& scores,
                                    const std::vector<std::int64_t>& positive,
                                    const std::vector<std::int64_t>& self,
                                    double temperature, double weight) {
  Contrastive out{0, 0, Array(scores.shape)};
  const std::int64_t k = scores.dim(1);
  for (std::int64_t row = 0; row < scores.dim(0); ++row) {
    const std::int64_t at = row * k;
    const std::int64_t own = positive[static_cast<std::size_t>(row)];
    const std::int64_t left_out = self[static_cast<std::size_t>(row)];
    double top = scores[at + own], most = -INFINITY, sum = 0;
    for (std::int64_t j = 0; j < k; ++j)
      if (j != left_out && j != own) most = std::max(most, scores[at + j]);
    out.correct += top > most ? 1 : 0;
    top = std::max(top, most);
    for (std::int64_t j = 0; j < k; ++j)
      if (j != left_out) sum += std::exp((scores[at + j] - top) / temperature);
    out.loss += weight * (std::log(sum) + (top - scores[at + own]) / temperature);
    for (std::int64_t j = 0; j < k; ++j)
      if (j != left_out)
        out.dscores[at + j] =
            weight / temperature *
            (std::exp((scores[at + j] - top) / temperature) / sum -
             (j == own ? 1 : 0));
  }
  return out;
}

// scores [2n,2N]: contrastive.h
inline Contrastive contrastive(const Array& scores, std::int64_t first,
                               std::int64_t samples, double temperature,
                               double weight) {
  std::vector<std::int64_t> positive, self;
  const std::int64_t n = scores.dim(0) / 2;
  for (std::int64_t row = 0; row < 2 * n; ++row) {
    const std::int64_t view = row / n, sample = first + row % n;
    self.push_back(view * samples + sample);
    positive.push_back((1 - view) * samples + sample);
  }
  return contrastive_rows(scores, positive, self, temperature, weight);
}

// scores [n,1+K], the positive first.
inline Contrastive queue_contrastive(const Array& scores, double temperature,
                                     double weight) {
  const auto rows = static_cast<std::size_t>(scores.dim(0));
  return contrastive_rows(scores, std::vector<std::int64_t>(rows, 0),
                          std::vector<std::int64_t>(rows, -1), temperature,
                          weight);
}

// Of the rows of all processes.
inline Array sinkhorn(const Array& scores, double epsilon, int iterations) {
  Array q = scores;
  const std::int64_t k = q.dim(1), b = q.dim(0);
  for (double& v : q.data) v = std::exp((v - 1) / epsilon);
  // Divides runs of elements by their sums; 0 stays 0.
  const auto divide = [&](std::int64_t runs, std::int64_t length,
                          std::int64_t run_step, std::int64_t step) {
    for (std::int64_t r = 0; r < runs; ++r) {
      double sum = 0;
      for (std::int64_t i = 0; i < length; ++i) sum += q[r * run_step + i * step];
      for (std::int64_t i = 0; sum != 0 && i < length; ++i)
        q[r * run_step + i * step] /= sum;
    }
  };
  for (int i = 0; i < iterations; ++i) {
    divide(k, b, 1, k);
    divide(b, k, k, 1);
  }
  return q;
}

}  // namespace music::reference
