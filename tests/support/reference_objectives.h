#pragma once
// Reference operations that objectives are made of: unit rows, reordered rows,
// inner products, soft and contrastive cross-entropy.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "tests/support/reference_array.h"

namespace music::reference {

inline std::int64_t row_size(const Array& x) { return x.size() / x.dim(0); }

inline double row_norm(const Array& x, std::int64_t row) {
  double sum = 0;
  for (std::int64_t i = row * x.dim(1); i < (row + 1) * x.dim(1); ++i)
    sum += x[i] * x[i];
  return std::sqrt(sum);
}

inline Array l2_normalize(const Array& x, double floor = 1e-12) {
  Array y = x;
  for (std::int64_t i = 0; i < x.size(); ++i)
    y[i] /= std::max(row_norm(x, i / x.dim(1)), floor);
  return y;
}

inline Array l2_normalize_backward(const Array& x, const Array& dy,
                                   double floor = 1e-12) {
  const Array y = l2_normalize(x, floor);
  Array dx = dy;
  const std::int64_t d = x.dim(1);
  for (std::int64_t i = 0; i < x.size(); ++i) {
    const std::int64_t row = i / d;
    const double norm = row_norm(x, row);
    double along = 0;
    if (norm >= floor)
      for (std::int64_t j = row * d; j < (row + 1) * d; ++j)
        along += dy[j] * y[j];
    dx[i] = (dy[i] - y[i] * along) / std::max(norm, floor);
  }
  return dx;
}

inline Array slice_rows(const Array& x, std::int64_t begin,
                        std::int64_t count) {
  Array y = x;
  y.shape[0] = count;
  const auto first = x.data.begin() + begin * row_size(x);
  y.data.assign(first, first + count * row_size(x));
  return y;
}

inline Array concat_rows(const std::vector<Array>& parts) {
  Array y = parts[0];
  for (std::size_t i = 1; i < parts.size(); ++i) {
    y.shape[0] += parts[i].shape[0];
    y.data.insert(y.data.end(), parts[i].data.begin(), parts[i].data.end());
  }
  return y;
}

inline Array interleave_rows(const Array& x, std::int64_t groups) {
  Array y = x;
  const std::int64_t m = x.dim(0) / groups, size = row_size(x);
  for (std::int64_t g = 0; g < groups; ++g)
    for (std::int64_t i = 0; i < m; ++i)
      for (std::int64_t j = 0; j < size; ++j)
        y[(g * m + i) * size + j] = x[(i * groups + g) * size + j];
  return y;
}

inline double inner(const Array& a, const Array& b) {
  double sum = 0;
  for (std::int64_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

inline Array row_inner(const Array& a, const Array& b) {
  Array y({a.dim(0)});
  for (std::int64_t i = 0; i < a.size(); ++i) y[i / a.dim(1)] += a[i] * b[i];
  return y;
}

// The gradient of a row's inner product with respect to the other row.
inline Array row_inner_backward(const Array& dy, const Array& b) {
  Array da = b;
  for (std::int64_t i = 0; i < b.size(); ++i) da[i] *= dy[i / b.dim(1)];
  return da;
}

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

}  // namespace music::reference
