#pragma once
// The MUSIC loss in double precision, straight from the equations, with the
// whole D x D matrix P: slow, and the oracle of every other implementation.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "music/loss/joint_entropy_spec.h"
#include "music/loss/segments.h"

namespace music::test {

struct ReferenceLoss {
  JointEntropyTerms terms;
  std::vector<double> q1, q2;    // [n,D]
  std::vector<double> p;         // [D,D]
  std::vector<double> dz1, dz2;  // [n,D]
};

// Where P can be 0 (clamp 0), log P is taken at this floor.
inline constexpr double kReferenceMinP = 1e-37;

// softmax of z / temperature over each segment, not clamped.
inline std::vector<double> reference_softmax(const std::vector<double>& z,
                                             std::int64_t n,
                                             const Segments& segments,
                                             double temperature) {
  std::vector<double> p(z.size());
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t s = 0; s < segments.count(); ++s) {
      const std::size_t begin =
          static_cast<std::size_t>(i * segments.units() + segments.begin(s));
      const std::size_t end = begin + static_cast<std::size_t>(segments.size(s));
      double max = z[begin], sum = 0;
      for (std::size_t d = begin; d < end; ++d) max = std::max(max, z[d]);
      for (std::size_t d = begin; d < end; ++d)
        sum += p[d] = std::exp((z[d] - max) / temperature);
      for (std::size_t d = begin; d < end; ++d) p[d] /= sum;
    }
  return p;
}

// dz from dq: the clamp passes nothing where p < clamp, then softmax backward.
inline std::vector<double> reference_softmax_backward(
    const std::vector<double>& p, const std::vector<double>& dq,
    std::int64_t n, const Segments& segments, const JointEntropySpec& spec) {
  std::vector<double> dz(p.size());
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t s = 0; s < segments.count(); ++s) {
      const std::size_t begin =
          static_cast<std::size_t>(i * segments.units() + segments.begin(s));
      const std::size_t end = begin + static_cast<std::size_t>(segments.size(s));
      double dot = 0;
      for (std::size_t d = begin; d < end; ++d)
        if (p[d] >= spec.clamp) dot += p[d] * dq[d];
      for (std::size_t d = begin; d < end; ++d)
        dz[d] = p[d] * ((p[d] >= spec.clamp ? dq[d] : 0) - dot) /
                spec.temperature;
    }
  return dz;
}

inline ReferenceLoss reference_loss(const std::vector<double>& z1,
                                    const std::vector<double>& z2,
                                    std::int64_t n, const Segments& segments,
                                    const JointEntropySpec& spec) {
  const auto units = static_cast<std::size_t>(segments.units());
  const auto rows = static_cast<std::size_t>(n);
  const double count = static_cast<double>(segments.count());
  const std::vector<double> p1 =
      reference_softmax(z1, n, segments, spec.temperature);
  const std::vector<double> p2 =
      reference_softmax(z2, n, segments, spec.temperature);
  ReferenceLoss r;
  r.q1 = p1;
  r.q2 = p2;
  for (double& q : r.q1) q = std::max(q, spec.clamp);
  for (double& q : r.q2) q = std::max(q, spec.clamp);

  std::vector<std::size_t> segment_of(units);
  for (std::int64_t s = 0; s < segments.count(); ++s)
    for (std::int64_t d = segments.begin(s); d < segments.begin(s + 1); ++d)
      segment_of[static_cast<std::size_t>(d)] = static_cast<std::size_t>(s);

  // The entropy, and G = d total / d P.
  double wd = 1 / count;
  double wo = count > 1 ? 1 / (count * (count - 1)) : 0;
  if (spec.norm == EntropyNorm::kEq3) wd = wo = 1 / (count * count);
  const auto block = [&](std::size_t s, std::size_t t) {
    return spec.blocks.empty()
               ? 1
               : spec.blocks[s * static_cast<std::size_t>(segments.count()) + t];
  };
  r.p.assign(units * units, 0);
  std::vector<double> g(units * units, 0);
  for (std::size_t a = 0; a < units; ++a)
    for (std::size_t b = 0; b < units; ++b) {
      double sum = 0;
      for (std::size_t i = 0; i < rows; ++i)
        sum += r.q1[i * units + a] * r.q2[i * units + b];
      const double p = r.p[a * units + b] = sum / static_cast<double>(n);
      const double log_p = std::log(std::max(p, kReferenceMinP));
      const double w = block(segment_of[a], segment_of[b]);
      if (a == b) {
        r.terms.de += w * wd * p * log_p;
        g[a * units + b] = w * spec.de * wd * (log_p + 1);
      } else if (segment_of[a] != segment_of[b]) {
        r.terms.oe += w * wo * p * log_p;
        g[a * units + b] = w * spec.oe * wo * (log_p + 1);
      }
    }

  std::vector<double> dq1(z1.size(), 0), dq2(z2.size(), 0);
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t a = 0; a < units; ++a)
      for (std::size_t b = 0; b < units; ++b) {
        const double gn = g[a * units + b] / static_cast<double>(n);
        dq1[i * units + a] += gn * r.q2[i * units + b];
        dq2[i * units + b] += gn * r.q1[i * units + a];
      }

  // Transformation invariance.
  const double mean = 1 / (static_cast<double>(n) * count);
  for (std::size_t i = 0; i < rows; ++i)
    for (std::int64_t s = 0; s < segments.count(); ++s) {
      const std::size_t begin =
          i * units + static_cast<std::size_t>(segments.begin(s));
      const std::size_t end = begin + static_cast<std::size_t>(segments.size(s));
      double t = 0;
      for (std::size_t d = begin; d < end; ++d) t += r.q1[d] * r.q2[d];
      if (spec.invariance == Invariance::kInner) r.terms.ti -= mean * std::log(t);
      for (std::size_t d = begin; d < end; ++d) {
        const double a = r.q1[d], b = r.q2[d];
        switch (spec.invariance) {
          case Invariance::kInner:
            dq1[d] -= spec.ti * mean * b / t;
            dq2[d] -= spec.ti * mean * a / t;
            break;
          case Invariance::kEq4:
            r.terms.ti -= mean * (std::log(a) + std::log(b));
            dq1[d] -= spec.ti * mean / a;
            dq2[d] -= spec.ti * mean / b;
            break;
          case Invariance::kXent:
            r.terms.ti -= mean * a * std::log(b);
            dq1[d] -= spec.ti * mean * std::log(b);
            dq2[d] -= spec.ti * mean * a / b;
            break;
          case Invariance::kNone:
            break;
        }
      }
    }

  r.terms.total =
      spec.de * r.terms.de + spec.oe * r.terms.oe + spec.ti * r.terms.ti;
  r.dz1 = reference_softmax_backward(p1, dq1, n, segments, spec);
  r.dz2 = reference_softmax_backward(p2, dq2, n, segments, spec);
  return r;
}

}  // namespace music::test
