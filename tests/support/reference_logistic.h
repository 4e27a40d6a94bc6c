#pragma once
// Multinomial logistic regression, naively in double: the mean cross-entropy of
// w.x + b plus decay / 2 ||w||^2, and its gradient.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace music::reference {

struct Logistic {
  double value = 0;
  std::vector<double> weight_gradient, bias_gradient;
};

// x [rows, width], w [classes, width], b [classes].
inline Logistic logistic(const std::vector<double>& x,
                         const std::vector<int>& labels,
                         const std::vector<double>& w,
                         const std::vector<double>& b, double decay) {
  const std::size_t rows = labels.size(), classes = b.size(),
                    width = w.size() / classes;
  const double n = static_cast<double>(rows);
  Logistic out{0, std::vector<double>(w.size()), std::vector<double>(classes)};
  for (std::size_t i = 0; i < rows; ++i) {
    std::vector<double> z(b);
    for (std::size_t c = 0; c < classes; ++c)
      for (std::size_t j = 0; j < width; ++j)
        z[c] += w[c * width + j] * x[i * width + j];
    const double most = *std::max_element(z.begin(), z.end());
    double sum = 0;
    for (double v : z) sum += std::exp(v - most);
    const auto label = static_cast<std::size_t>(labels[i]);
    out.value += (std::log(sum) + most - z[label]) / n;
    for (std::size_t c = 0; c < classes; ++c) {
      const double r = (std::exp(z[c] - most) / sum - (c == label)) / n;
      out.bias_gradient[c] += r;
      for (std::size_t j = 0; j < width; ++j)
        out.weight_gradient[c * width + j] += r * x[i * width + j];
    }
  }
  for (std::size_t k = 0; k < w.size(); ++k) {
    out.value += 0.5 * decay * w[k] * w[k];
    out.weight_gradient[k] += decay * w[k];
  }
  return out;
}

}  // namespace music::reference
