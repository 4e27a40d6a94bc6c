#pragma once
// The losses of VICReg and Barlow Twins in double precision, straight from their
// equations, with the whole D x D matrices: slow, and the oracle of every other
// implementation.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "music/loss/barlow_twins_spec.h"
#include "music/loss/vicreg_spec.h"

namespace music::test {

struct ReferenceViewLoss {
  std::vector<double> terms;      // as the node's
  std::vector<double> dz;         // [2N,D]
  std::vector<double> deviation;  // [2,D]
  std::vector<double> matrices;   // [.,D,D]: covariances; cross-correlation
  double total() const { return terms.back(); }
};

namespace detail {

// x without its column means; [n,D].
inline std::vector<double> centred(const double* x, std::size_t n,
                                   std::size_t units) {
  std::vector<double> out(x, x + n * units);
  for (std::size_t d = 0; d < units; ++d) {
    double mean = 0;
    for (std::size_t i = 0; i < n; ++i)
      mean += out[i * units + d] / static_cast<double>(n);
    for (std::size_t i = 0; i < n; ++i) out[i * units + d] -= mean;
  }
  return out;
}

// a^T b / by
inline std::vector<double> product(const std::vector<double>& a,
                                   const std::vector<double>& b,
                                   std::size_t units, double by) {
  std::vector<double> m(units * units, 0);
  for (std::size_t i = 0; i < a.size() / units; ++i)
    for (std::size_t p = 0; p < units; ++p)
      for (std::size_t q = 0; q < units; ++q)
        m[p * units + q] += a[i * units + p] * b[i * units + q] / by;
  return m;
}

}  // namespace detail

// z [2N,D]. samples: what the covariance is divided by, less one; 0: N.
inline ReferenceViewLoss reference_vicreg(const std::vector<double>& z,
                                          std::size_t units,
                                          const VicregSpec& spec,
                                          std::size_t samples = 0) {
  const std::size_t n = z.size() / units / 2;
  const double count = static_cast<double>(n);
  const double width = static_cast<double>(units);
  const double freedom =
      static_cast<double>(samples == 0 ? n : samples) - 1;
  ReferenceViewLoss r;
  r.dz.assign(z.size(), 0);
  double inv = 0, var = 0, cov = 0;
  for (std::size_t i = 0; i < n * units; ++i) {
    const double difference = z[i] - z[n * units + i];
    inv += difference * difference / (count * width);
    const double slope = 2 * spec.invariance * difference / (count * width);
    r.dz[i] += slope;
    r.dz[n * units + i] -= slope;
  }
  for (std::size_t v = 0; v < 2; ++v) {
    const auto x = detail::centred(z.data() + v * n * units, n, units);
    const auto c = detail::product(x, x, units, freedom);
    double* const dx = r.dz.data() + v * n * units;
    for (std::size_t d = 0; d < units; ++d) {
      double square = 0;
      for (std::size_t i = 0; i < n; ++i)
        square += x[i * units + d] * x[i * units + d];
      const double s = std::sqrt(square / (count - 1) + spec.epsilon);
      r.deviation.push_back(s);
      if (s >= 1) continue;
      var += 0.5 * (1 - s) / width;
      for (std::size_t i = 0; i < n; ++i)
        dx[i * units + d] -= 0.5 * spec.variance * x[i * units + d] /
                             (width * (count - 1) * s);
    }
    for (std::size_t a = 0; a < units; ++a)
      for (std::size_t b = 0; b < units; ++b) {
        if (a == b) continue;
        const double m = c[a * units + b];
        cov += m * m / width;
        for (std::size_t i = 0; i < n; ++i)
          dx[i * units + b] += 4 * spec.covariance * m * x[i * units + a] /
                               (width * freedom);
      }
    r.matrices.insert(r.matrices.end(), c.begin(), c.end());
  }
  r.terms = {inv, var, cov,
             spec.invariance * inv + spec.variance * var +
                 spec.covariance * cov};
  return r;
}

// z [2N,D].
inline ReferenceViewLoss reference_barlow_twins(const std::vector<double>& z,
                                                std::size_t units,
                                                const BarlowTwinsSpec& spec) {
  const std::size_t n = z.size() / units / 2;
  const double count = static_cast<double>(n);
  ReferenceViewLoss r;
  std::vector<double> unit[2];
  for (std::size_t v = 0; v < 2; ++v) {
    unit[v] = detail::centred(z.data() + v * n * units, n, units);
    for (std::size_t d = 0; d < units; ++d) {
      double square = 0;
      for (std::size_t i = 0; i < n; ++i)
        square += unit[v][i * units + d] * unit[v][i * units + d];
      const double s = std::sqrt(square / count + spec.epsilon);
      r.deviation.push_back(s);
      for (std::size_t i = 0; i < n; ++i) unit[v][i * units + d] /= s;
    }
  }
  r.matrices = detail::product(unit[0], unit[1], units, count);
  double on = 0, off = 0;
  std::vector<double> d[2] = {std::vector<double>(n * units, 0),
                              std::vector<double>(n * units, 0)};
  for (std::size_t a = 0; a < units; ++a)
    for (std::size_t b = 0; b < units; ++b) {
      const double c = r.matrices[a * units + b];
      (a == b ? on : off) += a == b ? (c - 1) * (c - 1) : c * c;
      const double g = 2 * spec.scale *
                       (a == b ? c - 1 : spec.lambda * c) / count;
      for (std::size_t i = 0; i < n; ++i) {
        d[0][i * units + a] += g * unit[1][i * units + b];
        d[1][i * units + b] += g * unit[0][i * units + a];
      }
    }
  for (std::size_t v = 0; v < 2; ++v) {
    for (std::size_t j = 0; j < units; ++j) {
      double mean = 0, slope = 0;
      for (std::size_t i = j; i < n * units; i += units) {
        mean += d[v][i] / count;
        slope += d[v][i] * unit[v][i] / count;
      }
      for (std::size_t i = j; i < n * units; i += units)
        d[v][i] = (d[v][i] - mean - unit[v][i] * slope) /
                  r.deviation[v * units + j];
    }
    r.dz.insert(r.dz.end(), d[v].begin(), d[v].end());
  }
  r.terms = {on, off, spec.scale * (on + spec.lambda * off)};
  return r;
}

}  // namespace music::test
