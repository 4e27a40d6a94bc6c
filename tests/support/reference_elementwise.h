#pragma once
// Reference operations that need no neighbours: relu, add, linear, segment
// softmax, cross-entropy, reduce, cast, image_normalize.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include "tests/support/reference_array.h"

namespace music::reference {

inline Array relu(const Array& x) {
  Array y = x;
  for (double& v : y.data) v = v > 0 ? v : 0;
  return y;
}

// The gradient at 0 is 0.
inline Array relu_backward(const Array& x, const Array& dy) {
  Array dx = dy;
  for (std::int64_t i = 0; i < x.size(); ++i)
    if (!(x[i] > 0)) dx[i] = 0;
  return dx;
}

// The gradient of either term is dy itself.
inline Array add(const Array& a, const Array& b) {
  Array y = a;
  for (std::int64_t i = 0; i < y.size(); ++i) y[i] += b[i];
  return y;
}

// x [M,I], w [O,I], bias [O] or null -> [M,O]
inline Array linear(const Array& x, const Array& w, const Array* bias) {
  Array y({x.dim(0), w.dim(0)});
  for (std::int64_t m = 0; m < x.dim(0); ++m)
    for (std::int64_t o = 0; o < w.dim(0); ++o) {
      double sum = bias ? (*bias)[o] : 0;
      for (std::int64_t i = 0; i < x.dim(1); ++i)
        sum += x[m * x.dim(1) + i] * w[o * x.dim(1) + i];
      y[m * w.dim(0) + o] = sum;
    }
  return y;
}

struct LinearGradients {
  Array dx, dw, db;
};

inline LinearGradients linear_backward(const Array& x, const Array& w,
                                       const Array& dy) {
  LinearGradients g{Array(x.shape), Array(w.shape), Array({w.dim(0)})};
  for (std::int64_t m = 0; m < x.dim(0); ++m)
    for (std::int64_t o = 0; o < w.dim(0); ++o) {
      const double d = dy[m * w.dim(0) + o];
      g.db[o] += d;
      for (std::int64_t i = 0; i < x.dim(1); ++i) {
        g.dx[m * x.dim(1) + i] += d * w[o * x.dim(1) + i];
        g.dw[o * x.dim(1) + i] += d * x[m * x.dim(1) + i];
      }
    }
  return g;
}

// z [M,D], begin: S+1 segment boundaries -> q [M,D]
inline Array segment_softmax(const Array& z,
                             const std::vector<std::int64_t>& begin,
                             double temperature) {
  Array q(z.shape);
  for (std::int64_t row = 0; row < z.size(); row += z.dim(1))
    for (std::size_t s = 0; s + 1 < begin.size(); ++s) {
      double top = z[row + begin[s]], sum = 0;
      for (std::int64_t d = begin[s]; d < begin[s + 1]; ++d)
        top = std::max(top, z[row + d]);
      for (std::int64_t d = begin[s]; d < begin[s + 1]; ++d)
        sum += q[row + d] = std::exp((z[row + d] - top) / temperature);
      for (std::int64_t d = begin[s]; d < begin[s + 1]; ++d) q[row + d] /= sum;
    }
  return q;
}

inline Array segment_softmax_backward(const Array& q,
                                      const std::vector<std::int64_t>& begin,
                                      double temperature, const Array& dq) {
  Array dz(q.shape);
  for (std::int64_t row = 0; row < q.size(); row += q.dim(1))
    for (std::size_t s = 0; s + 1 < begin.size(); ++s) {
      double dot = 0;
      for (std::int64_t d = begin[s]; d < begin[s + 1]; ++d)
        dot += dq[row + d] * q[row + d];
      for (std::int64_t d = begin[s]; d < begin[s + 1]; ++d)
        dz[row + d] = q[row + d] * (dq[row + d] - dot) / temperature;
    }
  return dz;
}

struct CrossEntropy {
  double loss;    // mean over rows
  Array dlogits;  // of the loss
};

// logits [M,K], labels [M] in [0,K)
inline CrossEntropy cross_entropy(const Array& logits,
                                  const std::vector<std::int32_t>& labels) {
  const std::int64_t rows = logits.dim(0), classes = logits.dim(1);
  CrossEntropy out{0, segment_softmax(logits, {0, classes}, 1)};
  for (std::int64_t m = 0; m < rows; ++m) {
    const std::int64_t at = m * classes + labels[static_cast<std::size_t>(m)];
    double top = logits[m * classes], sum = 0;
    for (std::int64_t k = 0; k < classes; ++k)
      top = std::max(top, logits[m * classes + k]);
    for (std::int64_t k = 0; k < classes; ++k)
      sum += std::exp(logits[m * classes + k] - top);
    out.loss += std::log(sum) + top - logits[at];  // exact where q underflows
    out.dlogits[at] -= 1;
  }
  out.loss /= static_cast<double>(rows);
  for (double& d : out.dlogits.data) d /= static_cast<double>(rows);
  return out;
}

inline double reduce_sum(const Array& x) {
  double sum = 0;
  for (double v : x.data) sum += v;
  return sum;
}

inline double reduce_mean(const Array& x) {
  return reduce_sum(x) / static_cast<double>(x.size());
}

// Gradient of the sum; that of the mean has dy / x.size().
inline Array reduce_backward(const Array& x, double dy) {
  Array dx(x.shape);
  dx.data.assign(dx.data.size(), dy);
  return dx;
}

// The nearest number of a binary floating-point format, ties to even.
struct FloatFormat {
  int digits;        // of the significand, the hidden one included
  int min_exponent;  // of the smallest normal number 2^min_exponent
  double largest;    // finite
};
inline constexpr FloatFormat kFloat32{24, -126, 0x1.fffffep127};
inline constexpr FloatFormat kFloat16{11, -14, 65504};
inline constexpr FloatFormat kBFloat16{8, -126, 0x1.fep127};

inline double round_to(double x, const FloatFormat& format) {
  if (x == 0 || !std::isfinite(x)) return x;
  const int exponent = std::max(std::ilogb(x), format.min_exponent);
  const int shift = format.digits - 1 - exponent;
  const double y = std::ldexp(std::nearbyint(std::ldexp(x, shift)), -shift);
  return std::abs(y) > format.largest ? std::copysign(INFINITY, x) : y;
}

// The gradient of a cast is the cast of the gradient.
inline Array cast(const Array& x, const FloatFormat& to) {
  Array y = x;
  for (double& v : y.data) v = round_to(v, to);
  return y;
}

// Pixels [N,H,W,3], 0..255.
inline Array image_normalize(const Array& x, const std::array<double, 3>& mean,
                             const std::array<double, 3>& std) {
  Array y = x;
  for (std::int64_t i = 0; i < y.size(); ++i) {
    const auto c = static_cast<std::size_t>(i % 3);
    y[i] = (x[i] / 255 - mean[c]) / std[c];
  }
  return y;
}

}  // namespace music::reference
