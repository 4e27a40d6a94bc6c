#include "music/cpu/joint_entropy.h"

#include <oneapi/dnnl/dnnl.h>
#include <omp.h>

#include <algorithm>
#include <cmath>

#include "engine/core/buffer.h"
#include "engine/core/error.h"
#include "music/cpu/segment_loss.h"
#include "music/joint_entropy_math.h"

namespace music::cpu {
namespace {

constexpr std::int64_t kTile = 384;   // P tile of 0.6 MB: second-level cache
constexpr std::int64_t kAlign = 16;   // slabs begin on whole cache lines
constexpr std::int64_t kChunk = 64;   // columns a pass of column_statistics

void check(const JointEntropyProblem& problem) {
  const JointEntropySpec& s = problem.spec;
  MUSIC_CHECK(problem.n >= 1, "[joint_entropy] {} samples, expected at least 1",
              problem.n);
  MUSIC_CHECK(problem.segments != nullptr, "[joint_entropy] no segments");
  if (!(s.temperature > 0) || !std::isfinite(s.temperature))
    throw error(ExitCode::kUsage,
                "[joint_entropy] temperature {}: expected a number above 0",
                s.temperature);
  if (!(s.clamp >= 0 && s.clamp < 1))
    throw error(ExitCode::kUsage,
                "[joint_entropy] clamp {}: expected 0 <= clamp < 1", s.clamp);
  if (!std::isfinite(s.de) || !std::isfinite(s.oe) || !std::isfinite(s.ti))
    throw error(ExitCode::kUsage,
                "[joint_entropy] coefficients {}, {}, {}: expected finite "
                "numbers", s.de, s.oe, s.ti);
}

// Turns a piece of a row of P into centred logarithms; returns sum P log.
double centre(float* p, const float* scale, float row_scale,
              std::int64_t count) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t b = 0; b < count; ++b) {
    const float g = centred_log(p[b], row_scale * scale[b]);
    sum += p[b] * g;
    p[b] = g;
  }
  return static_cast<double>(sum);
}

template <typename T>
double sum(const T* values, std::int64_t count) {
  double total = 0;
#pragma omp simd reduction(+ : total)
  for (std::int64_t i = 0; i < count; ++i)
    total += static_cast<double>(values[i]);
  return total;
}

}  // namespace

struct JointEntropy::Workspace {
  float *q1, *q2;            // [n,D], clamped
  float* diagonal;           // [D], d (de DE) / d P_aa, over N
  double* diagonal_entropy;  // [D], P log P
  double* cell_entropy;      // [threads,threads], sum P log of a cell
  double* row_centre;        // [n], what centring added to sum P log, times N
  double* row_invariance;    // [n], sum over segments
  float* tiles;              // [threads,tile,tile]
  float* rows;               // [threads,6,largest segment]
  double* masses;            // [threads,2,S]
};

JointEntropy::JointEntropy(const JointEntropyProblem& problem)
    : n_((check(problem), problem.n)),
      units_(problem.segments->units()),
      segments_(*problem.segments),
      spec_(problem.spec) {
  const int wanted =
      problem.threads > 0 ? problem.threads : omp_get_max_threads();
  const std::int64_t most = (units_ + kChunk - 1) / kChunk;
  threads_ = static_cast<int>(std::min<std::int64_t>(wanted, most));
  const double count = static_cast<double>(segments_.count());
  const bool eq3 = spec_.norm == EntropyNorm::kEq3;
  diagonal_weight_ = eq3 ? 1 / (count * count) : 1 / count;
  // One segment has no off-diagonal block.
  if (count > 1)
    off_diagonal_weight_ = 1 / (count * (eq3 ? count : count - 1));
  for (std::int64_t s = 0; s < segments_.count(); ++s) {
    largest_ = std::max(largest_, segments_.size(s));
    const auto size = static_cast<std::size_t>(segments_.size(s));
    log_size_.push_back(std::log(static_cast<double>(size)));
    segment_of_.insert(segment_of_.end(), size, static_cast<std::int32_t>(s));
    size_of_unit_.insert(size_of_unit_.end(), size, static_cast<float>(size));
  }
  Workspace none;
  workspace_bytes_ = carve(nullptr, none);
}

std::size_t JointEntropy::carve(void* base, Workspace& w) const {
  std::size_t offset = 0;
  const auto take = [&]<typename T>(T*& pointer, std::int64_t count) {
    pointer = reinterpret_cast<T*>(reinterpret_cast<std::uintptr_t>(base) +
                                   offset);
    offset += aligned(static_cast<std::size_t>(count) * sizeof(T));
  };
  const std::int64_t edge = std::min(kTile, units_);
  take(w.q1, n_ * units_);
  take(w.q2, n_ * units_);
  take(w.diagonal, units_);
  take(w.diagonal_entropy, units_);
  take(w.cell_entropy, std::int64_t{threads_} * threads_);
  take(w.row_centre, n_);
  take(w.row_invariance, n_);
  take(w.tiles, threads_ * edge * edge);
  take(w.rows, threads_ * 6 * largest_);
  take(w.masses, threads_ * 2 * segments_.count());
  return offset;
}

void JointEntropy::run(const float* z1, const float* z2, float* dz1,
                       float* dz2, float* mean_q, JointEntropyTerms& terms,
                       void* workspace) const {
  Workspace w;
  carve(workspace, w);
  const std::int64_t count = segments_.count();
#pragma omp parallel for num_threads(threads_) schedule(static)
  for (std::int64_t i = 0; i < n_; ++i) {
    const std::int64_t row = i * units_;
    softmax_row(z1 + row, w.q1 + row);
    softmax_row(z2 + row, w.q2 + row);
    std::fill_n(dz1 + row, units_, 0.0f);
    std::fill_n(dz2 + row, units_, 0.0f);
  }
  column_statistics(w, mean_q);
  entropy_of_p(w, dz1, dz2);
#pragma omp parallel for num_threads(threads_) schedule(static)
  for (std::int64_t i = 0; i < n_; ++i) {
    const float* const z[2] = {z1 + i * units_, z2 + i * units_};
    float* const dz[2] = {dz1 + i * units_, dz2 + i * units_};
    backward_row(w, i, z, dz);
  }
  const double n = static_cast<double>(n_);
  terms.de = diagonal_weight_ * sum(w.diagonal_entropy, units_);
  terms.oe = off_diagonal_weight_ *
             (sum(w.cell_entropy, std::int64_t{threads_} * threads_) -
              sum(w.row_centre, n_) / n);
  terms.ti = sum(w.row_invariance, n_) / (n * static_cast<double>(count));
  terms.total =
      spec_.de * terms.de + spec_.oe * terms.oe + spec_.ti * terms.ti;
}

void JointEntropy::softmax_row(const float* z, float* q) const {
  const float inverse_t = static_cast<float>(1 / spec_.temperature);
  const float clamp = static_cast<float>(spec_.clamp);
  for (std::int64_t s = 0; s < segments_.count(); ++s)
    softmax(z + segments_.begin(s), segments_.size(s), inverse_t,
            q + segments_.begin(s));
#pragma omp simd
  for (std::int64_t d = 0; d < units_; ++d) q[d] = clamped(q[d], clamp);
}

// The diagonal of P and the means of q, in double: they are few, and DE weighs
// each a hundred times as much as OE weighs one of its elements.
void JointEntropy::column_statistics(const Workspace& w, float* mean_q) const {
  const double n = static_cast<double>(n_);
#pragma omp parallel for num_threads(threads_) schedule(static)
  for (std::int64_t begin = 0; begin < units_; begin += kChunk) {
    const std::int64_t size = std::min(kChunk, units_ - begin);
    double sum1[kChunk] = {}, sum2[kChunk] = {}, product[kChunk] = {};
    for (std::int64_t i = 0; i < n_; ++i) {
      const float* q1 = w.q1 + i * units_ + begin;
      const float* q2 = w.q2 + i * units_ + begin;
#pragma omp simd
      for (std::int64_t d = 0; d < size; ++d) {
        const double a = static_cast<double>(q1[d]);
        const double b = static_cast<double>(q2[d]);
        sum1[d] += a;
        sum2[d] += b;
        product[d] += a * b;
      }
    }
    for (std::int64_t d = 0; d < size; ++d) {
      const double p = product[d] / n;
      const double log_p = std::log(p < kMinP ? kMinP : p);
      w.diagonal_entropy[begin + d] = p * log_p;
      w.diagonal[begin + d] =
          static_cast<float>(spec_.de * diagonal_weight_ * (log_p + 1) / n);
      if (mean_q == nullptr) continue;
      mean_q[begin + d] = static_cast<float>(sum1[d] / n);
      mean_q[units_ + begin + d] = static_cast<float>(sum2[d] / n);
    }
  }
}

std::int64_t JointEntropy::slab_begin(int slab) const {
  return slab == threads_ ? units_
                          : units_ * slab / threads_ / kAlign * kAlign;
}

// P in threads x threads cells. In step k thread t has column slab t and row
// group t + k, so no two threads ever add to the same columns of dq1 or dq2:
// nothing to reduce, and a fixed order of sums.
void JointEntropy::entropy_of_p(const Workspace& w, float* dq1,
                                float* dq2) const {
  bool failed = false;
  if (segments_.count() == 1) {
    std::fill_n(w.cell_entropy, std::int64_t{threads_} * threads_, 0.0);
    return;
  }
#pragma omp parallel num_threads(threads_) reduction(|| : failed)
  {
    // A team of one does not count as parallel, and dnnl_sgemm would start
    // threads of its own; this setting ends with the region.
    omp_set_num_threads(1);
    for (int step = 0; step < threads_; ++step) {
#pragma omp for schedule(static, 1)
      for (int slab = 0; slab < threads_; ++slab)
        if (!entropy_cell(w, slab, (slab + step) % threads_, dq1, dq2))
          failed = true;
    }
  }
  MUSIC_CHECK(!failed, "[joint_entropy] dnnl_sgemm failed for n {}, D {}", n_,
              units_);
}

bool JointEntropy::entropy_cell(const Workspace& w, int slab, int group,
                                float* dq1, float* dq2) const {
  const std::int64_t edge = std::min(kTile, units_);
  float* tile = w.tiles + slab * edge * edge;
  double entropy = 0;
  bool done = true;
  const float scale = 1.0f / static_cast<float>(n_);
  const std::int64_t end = slab_begin(slab + 1);
  const std::int64_t row_end = slab_begin(group + 1);
  for (std::int64_t b = slab_begin(slab); b < end; b += edge) {
    const std::int64_t columns = std::min(edge, end - b);
    for (std::int64_t a = slab_begin(group); a < row_end; a += edge) {
      const std::int64_t rows = std::min(edge, row_end - a);
      done = done && dnnl_success == dnnl_sgemm(
          'T', 'N', rows, columns, n_, scale, w.q1 + a, units_, w.q2 + b,
          units_, 0, tile, columns);
      entropy += centre_tile(tile, a, rows, b, columns);
      if (spec_.oe == 0) continue;  // reported, but without a gradient
      done = done && dnnl_success == dnnl_sgemm(
          'N', 'N', n_, columns, rows, 1, w.q1 + a, units_, tile, columns, 1,
          dq2 + b, units_);
      done = done && dnnl_success == dnnl_sgemm(
          'N', 'T', n_, rows, columns, 1, w.q2 + b, units_, tile, columns, 1,
          dq1 + a, units_);
    }
  }
  w.cell_entropy[slab * threads_ + group] = entropy;
  return done;
}

// P -> G~: logarithms off the diagonal blocks, zero in them.
double JointEntropy::centre_tile(float* tile, std::int64_t row,
                                 std::int64_t rows, std::int64_t column,
                                 std::int64_t columns) const {
  const float* scale = size_of_unit_.data() + column;
  double entropy = 0;
  for (std::int64_t a = row; a < row + rows; ++a, tile += columns) {
    const std::int64_t s = segment_of_[static_cast<std::size_t>(a)];
    const float row_scale = size_of_unit_[static_cast<std::size_t>(a)];
    const std::int64_t begin =
        std::clamp<std::int64_t>(segments_.begin(s) - column, 0, columns);
    const std::int64_t end =
        std::clamp<std::int64_t>(segments_.begin(s + 1) - column, 0, columns);
    entropy += centre(tile, scale, row_scale, begin);
    std::fill(tile + begin, tile + end, 0.0f);
    entropy += centre(tile + end, scale + end, row_scale, columns - end);
  }
  return entropy;
}

// All that is local to a sample: invariance, the diagonal, softmax backward.
// dz holds the products with G~ on entry.
void JointEntropy::backward_row(const Workspace& w, std::int64_t i,
                                const float* const z[2],
                                float* const dz[2]) const {
  const std::int64_t count = segments_.count(), row = i * units_;
  const float* const q[2] = {w.q1 + row, w.q2 + row};
  // Masses of q by segment: 1, and what the clamp added.
  double* masses = w.masses + omp_get_thread_num() * 2 * count;
  double* const mass[2] = {masses, masses + count};
  double total[2] = {}, log_total[2] = {}, same_segment = 0;
  for (std::int64_t s = 0; s < count; ++s) {
    const double log_size = log_size_[static_cast<std::size_t>(s)];
    for (int v = 0; v < 2; ++v) {
      mass[v][s] = sum(q[v] + segments_.begin(s), segments_.size(s));
      total[v] += mass[v][s];
      log_total[v] += mass[v][s] * log_size;
    }
    same_segment += 2 * mass[0][s] * mass[1][s] * log_size;
  }
  w.row_centre[i] =
      log_total[0] * total[1] + total[0] * log_total[1] - same_segment;

  const double n = static_cast<double>(n_);
  const double entropy_scale = spec_.oe * off_diagonal_weight_ / n;
  const float ti_scale =
      static_cast<float>(-spec_.ti / (n * static_cast<double>(count)));
  float* rows = w.rows + omp_get_thread_num() * 6 * largest_;
  double invariance_sum = 0;
  for (std::int64_t s = 0; s < count; ++s) {
    const std::int64_t begin = segments_.begin(s);
    const double log_size = log_size_[static_cast<std::size_t>(s)];
    SegmentView view[2];
    for (int v = 0; v < 2; ++v) {
      float* scratch = rows + v * 3 * largest_;
      view[v] = {segments_.size(s), q[v] + begin, scratch, scratch + largest_,
                 scratch + 2 * largest_};
      log_softmax(z[v] + begin, spec_, view[v]);
    }
    invariance_sum += invariance(spec_.invariance, ti_scale, view[0], view[1]);
    for (int v = 0; v < 2; ++v) {
      // The block constants that G~ lacks, summed over the other view's
      // segments but this one.
      const int o = 1 - v;
      const double shift =
          entropy_scale * ((1 - log_size) * (total[o] - mass[o][s]) -
                           (log_total[o] - mass[o][s] * log_size));
      segment_backward(spec_, view[v], view[o].q, w.diagonal + begin,
                       static_cast<float>(entropy_scale),
                       static_cast<float>(shift), dz[v] + begin);
    }
  }
  w.row_invariance[i] = invariance_sum;
}

}  // namespace music::cpu
