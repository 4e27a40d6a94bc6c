#pragma once
// Reference operations on matrices by rows: unit length, order, inner products,
// columns over the rows, a ring of rows.

#include <algorithm>
#include <cmath>
#include <cstdint>
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

// Standard deviation over the rows, unbiased.
inline Array column_deviation(const Array& x) {
  const std::int64_t d = x.dim(1), n = x.dim(0);
  Array y({d});
  for (std::int64_t j = 0; j < d && n > 1; ++j) {
    double mean = 0, square = 0;
    for (std::int64_t i = 0; i < n; ++i)
      mean += x[i * d + j] / static_cast<double>(n);
    for (std::int64_t i = 0; i < n; ++i)
      square += (x[i * d + j] - mean) * (x[i * d + j] - mean);
    y[j] = std::sqrt(square / static_cast<double>(n - 1));
  }
  return y;
}

inline void push_rows(Array& queue, Array& position, const Array& rows) {
  const std::int64_t d = queue.dim(1), k = queue.dim(0);
  for (std::int64_t i = 0; i < rows.size(); ++i) {
    const auto row = static_cast<std::int64_t>(position[0]) + i / d;
    queue[row % k * d + i % d] = rows[i];
  }
  position[0] = std::fmod(position[0] + static_cast<double>(rows.dim(0)),
                          static_cast<double>(k));
}

}  // namespace music::reference
