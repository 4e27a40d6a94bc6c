#include "music/loss/cuda/segment_loss.h"

#include <algorithm>
#include <cmath>

#include "engine/cuda/block_reduce.h"
#include "engine/cuda/launch.h"
#include "music/loss/cuda/segment_units.h"
#include "music/loss/joint_entropy_math.h"

namespace music::cuda {
namespace {

constexpr int kWarps = 8;  // of a block, at most: share a sample's segments

// Sums over the segments of one sample.
struct Masses {
  double total[2], log_total[2], same_segment;
};

// By one warp.
__device__ Masses sum_masses(const SegmentTable& segments,
                             const SegmentSoftmax* const (&softmax)[2]) {
  Masses m = {};
  for (int s = static_cast<int>(threadIdx.x % 32); s < segments.count;
       s += 32) {
    const double log_size = segments.log_size[s];
    double mass[2];
    for (int v = 0; v < 2; ++v) {
      mass[v] = static_cast<double>(softmax[v][s].mass);
      m.total[v] += mass[v];
      m.log_total[v] += mass[v] * log_size;
    }
    m.same_segment += 2 * mass[0] * mass[1] * log_size;
  }
  for (int v = 0; v < 2; ++v) {
    m.total[v] = warp_sum(m.total[v]);
    m.log_total[v] = warp_sum(m.log_total[v]);
  }
  m.same_segment = warp_sum(m.same_segment);
  return m;
}

// missing_constants() of segment s of both views where blocks have weights, by
// one warp, in every lane; and what centring added to the segment's row of
// blocks.
struct WeightedConstants {
  double of_view[2], added;
};
__device__ WeightedConstants weighted_constants(
    const SegmentTable& segments, const SegmentSoftmax* const (&softmax)[2],
    int s) {
  WeightedConstants c = {};
  for (int t = static_cast<int>(threadIdx.x % 32); t < segments.count;
       t += 32) {
    if (t == s) continue;
    const double logs = segments.log_size[s] + segments.log_size[t];
    const double mass[2] = {static_cast<double>(softmax[0][t].mass),
                            static_cast<double>(softmax[1][t].mass)};
    const auto weight = [&](int row, int column) {
      return static_cast<double>(
          segments.blocks[std::int64_t{row} * segments.count + column]);
    };
    c.of_view[0] += weight(s, t) * mass[1] * (1 - logs);
    c.of_view[1] += weight(t, s) * mass[0] * (1 - logs);
    c.added += weight(s, t) * mass[1] * logs;
  }
  for (int v = 0; v < 2; ++v) c.of_view[v] = warp_sum(c.of_view[v]);
  c.added = warp_sum(c.added) * static_cast<double>(softmax[0][s].mass);
  return c;
}

// One unit of both views.
struct Unit {
  float p[2], log_q[2];
};

// One segment of both views of one sample, by one warp. Returns its part of TI
// in every lane, not yet averaged; replaces dz.
template <int kHeld>
__device__ double segment_backward(const SegmentLossArgs& a, int begin,
                                   int size, const float* const (&z)[2],
                                   float* const (&dz)[2],
                                   const SegmentSoftmax (&softmax)[2],
                                   const float (&shift)[2]) {
  constexpr int kUnits = kHeldUnits<kHeld>;
  const float* const diagonal = a.diagonal + begin;
  const float entropy_scale = static_cast<float>(a.entropy_scale);
  float inverse[2], log_sum[2];
  for (int v = 0; v < 2; ++v) {
    inverse[v] = 1.0f / softmax[v].sum;
    log_sum[v] = loss_log(softmax[v].sum);
  }
  const auto read = [&](int d) {
    Unit u;
    for (int v = 0; v < 2; ++v) {
      const float x =
          (z[v][begin + d] - softmax[v].max) * a.inverse_temperature;
      u.p[v] = loss_exp(x) * inverse[v];
      u.log_q[v] =
          clamped_log(u.p[v], x - log_sum[v], a.clamp, a.log_clamp);
    }
    return u;
  };
  Unit units[kUnits] = {};
  const auto unit = [&](int k, int d) {
    return kHeld > 0 ? units[k] : read(d);
  };

  // TI, and what the gradient takes from it.
  float max = -INFINITY, ti = 0, share = 0;
  for_units<kHeld>(size, [&](int k, int d) {
    const Unit u = read(d);
    units[k] = u;
    const float x = u.log_q[0] + u.log_q[1];
    max = x > max ? x : max;
    if (a.invariance == Invariance::kEq4) ti += x;
    if (a.invariance == Invariance::kXent)
      ti += clamped(u.p[0], a.clamp) * u.log_q[1];
  });
  if (a.invariance == Invariance::kInner) {
    // log sum exp(log q' + log q'')
    max = warp_max(max);
    for_units<kHeld>(size, [&](int k, int d) {
      const Unit u = unit(k, d);
      ti += loss_exp(u.log_q[0] + u.log_q[1] - max);
    });
  }
  ti = warp_sum(ti);
  if (a.invariance == Invariance::kInner) share = a.invariance_scale / ti;

  // q times dL/dq of both views.
  const auto weighted = [&](const Unit& u, int d, float (&h)[2]) {
    float of_ti[2] = {0, 0};
    const float q[2] = {clamped(u.p[0], a.clamp), clamped(u.p[1], a.clamp)};
    switch (a.invariance) {
      case Invariance::kInner:
        of_ti[0] = of_ti[1] =
            share * loss_exp(u.log_q[0] + u.log_q[1] - max);
        break;
      case Invariance::kEq4:
        of_ti[0] = of_ti[1] = a.invariance_scale;
        break;
      case Invariance::kXent:
        of_ti[0] = a.invariance_scale * q[0] * u.log_q[1];
        of_ti[1] = a.invariance_scale * q[0];
        break;
      case Invariance::kNone:
        break;
    }
    const float on_diagonal = diagonal[d];
    for (int v = 0; v < 2; ++v) {
      const float entropy = a.entropy ? entropy_scale * dz[v][begin + d] : 0.0f;
      h[v] = weighted_gradient(u.p[v], a.clamp, of_ti[v],
                               entropy + on_diagonal * q[1 - v]);
    }
  };
  float held[kUnits][2], sum[2] = {}, lost[2] = {};
  for_units<kHeld>(size, [&](int k, int d) {
    const Unit u = unit(k, d);
    weighted(u, d, held[k]);
    for (int v = 0; v < 2; ++v) {
      sum[v] += held[k][v];
      lost[v] += u.p[v] < a.clamp ? u.p[v] : 0.0f;
    }
  });
  for (int v = 0; v < 2; ++v) {
    sum[v] = warp_sum(sum[v]);
    lost[v] = warp_sum(lost[v]);
  }
  for_units<kHeld>(size, [&](int k, int d) {
    const Unit u = unit(k, d);
    if constexpr (kHeld == 0) weighted(u, d, held[k]);
    for (int v = 0; v < 2; ++v)
      dz[v][begin + d] = softmax_backward(held[k][v], u.p[v], a.clamp, sum[v],
                                          lost[v], shift[v],
                                          a.inverse_temperature);
  });
  if (a.invariance != Invariance::kInner) return -static_cast<double>(ti);
  return -(static_cast<double>(max) + std::log(static_cast<double>(ti)));
}

// A block takes a sample.
template <int kHeld>
__global__ void __launch_bounds__(32 * kWarps)
    sample_backward(SegmentTable segments, std::int64_t n, SegmentLossArgs a) {
  MUSIC_SHARED(Masses, shared_masses, 1);
  MUSIC_SHARED(double, of_warp, kWarps);
  MUSIC_SHARED(double, added_by_warp, kWarps);
  const int warp = static_cast<int>(threadIdx.x / 32);
  const int warps = static_cast<int>(blockDim.x / 32);
  const std::int64_t i = blockIdx.x;
  const SegmentSoftmax* const softmax[2] = {
      a.softmax + i * segments.count, a.softmax + (n + i) * segments.count};
  const float* const z[2] = {a.z + i * segments.units,
                             a.z + (n + i) * segments.units};
  float* const dz[2] = {a.dz + i * segments.units,
                        a.dz + (n + i) * segments.units};
  if (warp == 0) {
    const Masses m = sum_masses(segments, softmax);
    if (threadIdx.x == 0) {
      shared_masses[0] = m;
      a.row_centre[i] = m.log_total[0] * m.total[1] +
                        m.total[0] * m.log_total[1] - m.same_segment;
    }
  }
  __syncthreads();
  const Masses m = shared_masses[0];
  double invariance = 0, added = 0;
  for (int s = warp; s < segments.count; s += warps) {
    const int begin = segments.begin[s];
    const SegmentSoftmax of_view[2] = {softmax[0][s], softmax[1][s]};
    float shift[2];
    for (int v = 0; v < 2; ++v)
      shift[v] = static_cast<float>(
          a.entropy_scale *
          missing_constants(m.total[1 - v], m.log_total[1 - v],
                            static_cast<double>(of_view[1 - v].mass),
                            segments.log_size[s]));
    if (segments.blocks) {
      const WeightedConstants c = weighted_constants(segments, softmax, s);
      for (int v = 0; v < 2; ++v)
        shift[v] = static_cast<float>(a.entropy_scale * c.of_view[v]);
      added += c.added;
    }
    invariance += segment_backward<kHeld>(
        a, begin, segments.begin[s + 1] - begin, z, dz, of_view, shift);
  }
  if (threadIdx.x % 32 == 0) {
    of_warp[warp] = invariance;
    added_by_warp[warp] = added;
  }
  __syncthreads();
  if (threadIdx.x > 0) return;
  for (int w = 1; w < warps; ++w) invariance += of_warp[w];
  a.row_invariance[i] = invariance;
  if (!segments.blocks) return;
  for (int w = 1; w < warps; ++w) added += added_by_warp[w];
  a.row_centre[i] = added;
}

}  // namespace

void segment_loss(const SegmentTable& segments, std::int64_t n,
                  const SegmentLossArgs& args, void* stream) {
  with_held_units(segments.largest, [&](auto held) {
    launch(sample_backward<held()>,
           {n, 1, 1, 32 * std::min(segments.count, kWarps)}, stream, segments,
           n, args);
  });
}

}  // namespace music::cuda
