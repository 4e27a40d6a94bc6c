#include "music/loss/cpu/joint_entropy.h"

#include <omp.h>

#include <algorithm>
#include <cmath>

#include "engine/core/buffer.h"
#include "engine/core/error.h"
#include "engine/core/shard.h"
#include "music/loss/column_slabs.h"
#include "music/loss/cpu/segment_loss.h"
#include "music/loss/joint_entropy_math.h"

namespace music::cpu {
namespace {

constexpr std::int64_t kChunk = 64;   // columns a pass of column_statistics

void check(const JointEntropyProblem& problem) {
  MUSIC_CHECK(problem.segments != nullptr, "[joint_entropy] no segments");
  check_spec(problem.spec, problem.segments->count());
  const std::int64_t all = problem.communicator ? problem.batch : problem.n;
  MUSIC_CHECK(all >= 1, "[joint_entropy] {} samples, expected at least 1", all);
  if (problem.communicator) {
    const int rank = problem.communicator->rank();
    const int size = problem.communicator->size();
    MUSIC_CHECK(problem.n == shard_size(problem.batch, rank, size),
                "[joint_entropy] rank {} of {} has {} of {} samples, expected "
                "{}", rank, size, problem.n, problem.batch,
                shard_size(problem.batch, rank, size));
  }
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
  double* column_sums;       // [3,D]: q', q'' and their product, over N
  double* row_centre;        // [n], what centring added to sum P log, times N
  double* row_invariance;    // [n], sum over segments
  float* rows;               // [threads,6,largest segment]
  double* masses;            // [threads,2,S]
  void* entropy;
};

JointEntropy::JointEntropy(const JointEntropyProblem& problem)
    : n_((check(problem), problem.n)),
      units_(problem.segments->units()),
      segments_(*problem.segments),
      spec_(problem.spec),
      rule_(segments_, problem.spec.blocks) {
  const int wanted =
      problem.threads > 0 ? problem.threads : omp_get_max_threads();
  const std::int64_t most = (units_ + kChunk - 1) / kChunk;
  threads_ = static_cast<int>(std::min<std::int64_t>(wanted, most));
  if (problem.communicator && problem.communicator->size() > 1)
    communicator_ = problem.communicator;
  all_ = communicator_ ? problem.batch : n_;
  global_ = communicator_ && spec_.scope == LossScope::kGlobal;
  samples_ = global_ ? all_ : std::max<std::int64_t>(1, n_);
  weights_ = entropy_weights(spec_.norm, segments_.count());
  for (std::int64_t s = 0; s < segments_.count(); ++s) {
    largest_ = std::max(largest_, segments_.size(s));
    log_size_.push_back(std::log(static_cast<double>(segments_.size(s))));
  }
  gradient_ = spec_.oe != 0;  // the term is reported all the same
  const float mean = 1.0f / static_cast<float>(samples_);
  if (global_)
    slabs_.emplace(*communicator_, samples_, mean,
                   column_slabs(segments_, communicator_->size()), threads_,
                   gradient_ ? Gradients::kBoth : Gradients::kNone);
  else
    panel_.emplace(samples_, mean, units_, threads_);
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
  take(w.q1, n_ * units_);
  take(w.q2, n_ * units_);
  take(w.diagonal, units_);
  take(w.column_sums, 3 * units_);
  take(w.row_centre, n_);
  take(w.row_invariance, n_);
  take(w.rows, threads_ * 6 * largest_);
  take(w.masses, threads_ * 2 * segments_.count());
  w.entropy = static_cast<std::byte*>(base) + offset;
  return offset +
         (slabs_ ? slabs_->workspace_bytes() : panel_->workspace_bytes());
}

void JointEntropy::run(const float* z1, const float* z2, float* dz1,
                       float* dz2, float* mean_q, JointEntropyTerms& terms,
                       void* workspace) const {
  Workspace w;
  carve(workspace, w);
  if (n_ == 0 && !global_) {  // no loss of its own
    terms = {};
    if (mean_q) std::fill_n(mean_q, 2 * units_, 0.0f);
    return average(dz1, dz2, mean_q, terms);
  }
#pragma omp parallel for num_threads(threads_) schedule(static)
  for (std::int64_t i = 0; i < n_; ++i) {
    softmax_row(z1 + i * units_, w.q1 + i * units_);
    softmax_row(z2 + i * units_, w.q2 + i * units_);
  }
  terms.de = weights_.diagonal * diagonal_of_p(w, mean_q);
  double sums[3] = {entropy_of_p(w, dz1, dz2)};
#pragma omp parallel for num_threads(threads_) schedule(static)
  for (std::int64_t i = 0; i < n_; ++i) {
    const float* const z[2] = {z1 + i * units_, z2 + i * units_};
    float* const dz[2] = {dz1 + i * units_, dz2 + i * units_};
    backward_row(w, i, z, dz);
  }
  sums[1] = sum(w.row_centre, n_);
  sums[2] = sum(w.row_invariance, n_);
  if (global_)
    communicator_->all_reduce({sums, Shape{3}, DType::kF64});
  const double n = static_cast<double>(samples_);
  terms.oe = weights_.off_diagonal * (sums[0] - sums[1] / n);
  terms.ti = sums[2] / (n * static_cast<double>(segments_.count()));
  if (communicator_ && !global_) return average(dz1, dz2, mean_q, terms);
  add_up(terms);
}

void JointEntropy::add_up(JointEntropyTerms& terms) const {
  terms.total =
      spec_.de * terms.de + spec_.oe * terms.oe + spec_.ti * terms.ti;
}

// Losses of the ranks to the loss of the batch: their mean by samples.
void JointEntropy::average(float* dz1, float* dz2, float* mean_q,
                           JointEntropyTerms& terms) const {
  const double share = static_cast<double>(n_) / static_cast<double>(all_);
  for (float* dz : {dz1, dz2})
#pragma omp parallel for simd num_threads(threads_) schedule(static)
    for (std::int64_t i = 0; i < n_ * units_; ++i)
      dz[i] *= static_cast<float>(share);
  double means[3] = {share * terms.de, share * terms.oe, share * terms.ti};
  communicator_->all_reduce({means, Shape{3}, DType::kF64});
  terms.de = means[0], terms.oe = means[1], terms.ti = means[2];
  add_up(terms);
  if (mean_q == nullptr) return;
  for (std::int64_t i = 0; i < 2 * units_; ++i)
    mean_q[i] *= static_cast<float>(share);
  communicator_->all_reduce({mean_q, Shape{2 * units_}, DType::kF32});
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
double JointEntropy::diagonal_of_p(const Workspace& w, float* mean_q) const {
  double* const sum1 = w.column_sums;
  double* const sum2 = sum1 + units_;
  double* const product = sum2 + units_;
  std::fill_n(w.column_sums, 3 * units_, 0.0);
#pragma omp parallel for num_threads(threads_) schedule(static)
  for (std::int64_t begin = 0; begin < units_; begin += kChunk) {
    const std::int64_t end = std::min(begin + kChunk, units_);
    for (std::int64_t i = 0; i < n_; ++i) {
      const float* q1 = w.q1 + i * units_;
      const float* q2 = w.q2 + i * units_;
#pragma omp simd
      for (std::int64_t d = begin; d < end; ++d) {
        const double a = static_cast<double>(q1[d]);
        const double b = static_cast<double>(q2[d]);
        sum1[d] += a;
        sum2[d] += b;
        product[d] += a * b;
      }
    }
  }
  if (global_)
    communicator_->all_reduce({w.column_sums, Shape{3 * units_}, DType::kF64});
  const double n = static_cast<double>(samples_);
  double entropy = 0;
  for (std::int64_t d = 0; d < units_; ++d) {
    const double p = product[d] / n;
    const double log_p = std::log(p < kMinP ? kMinP : p);
    entropy += p * log_p;
    w.diagonal[d] =
        static_cast<float>(spec_.de * weights_.diagonal * (log_p + 1) / n);
    if (mean_q == nullptr) continue;
    mean_q[d] = static_cast<float>(sum1[d] / n);
    mean_q[units_ + d] = static_cast<float>(sum2[d] / n);
  }
  if (spec_.blocks.empty()) return entropy;
  entropy = 0;
  for (std::int64_t s = 0; s < segments_.count(); ++s)
    for (std::int64_t d = segments_.begin(s); d < segments_.begin(s + 1); ++d) {
      const double p = product[d] / n;
      entropy += block(s, s) * p * std::log(p < kMinP ? kMinP : p);
      w.diagonal[d] *= static_cast<float>(block(s, s));
    }
  return entropy;
}

// The products with G~ into dz, and the sum of P log off the diagonal blocks.
double JointEntropy::entropy_of_p(const Workspace& w, float* dz1,
                                  float* dz2) const {
  double entropy = 0;
  const bool several = segments_.count() > 1;
  const bool slabs = slabs_ && several;
  if (slabs) entropy = slabs_->run(w.q1, w.q2, rule_, dz1, dz2, w.entropy);
  if (slabs && gradient_) return entropy;
#pragma omp parallel for num_threads(threads_) schedule(static)
  for (std::int64_t i = 0; i < n_; ++i) {
    std::fill_n(dz1 + i * units_, units_, 0.0f);
    std::fill_n(dz2 + i * units_, units_, 0.0f);
  }
  if (slabs || !several) return entropy;
  return panel_->run({0, units_, 0, units_, w.q1, w.q2,
                      gradient_ ? dz1 : nullptr, gradient_ ? dz2 : nullptr,
                      units_, units_}, rule_, w.entropy);
}

// missing_constants() of segment s of both views where blocks have weights;
// returns what centring added to the segment's row of blocks.
double JointEntropy::weighted_constants(const double* const mass[2],
                                        std::int64_t s,
                                        double constants[2]) const {
  const double log_size = log_size_[static_cast<std::size_t>(s)];
  constants[0] = constants[1] = 0;
  double added = 0;
  for (std::int64_t t = 0; t < segments_.count(); ++t) {
    if (t == s) continue;
    const double logs = log_size + log_size_[static_cast<std::size_t>(t)];
    constants[0] += block(s, t) * mass[1][t] * (1 - logs);
    constants[1] += block(t, s) * mass[0][t] * (1 - logs);
    added += block(s, t) * mass[0][s] * mass[1][t] * logs;
  }
  return added;
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
  if (!spec_.blocks.empty()) w.row_centre[i] = 0;

  const double n = static_cast<double>(samples_);
  const double entropy_scale = spec_.oe * weights_.off_diagonal / n;
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
    double constants[2];
    for (int v = 0; v < 2; ++v)
      constants[v] = missing_constants(total[1 - v], log_total[1 - v],
                                       mass[1 - v][s], log_size);
    if (!spec_.blocks.empty())
      w.row_centre[i] += weighted_constants(mass, s, constants);
    invariance_sum += invariance(spec_.invariance, ti_scale, view[0], view[1]);
    for (int v = 0; v < 2; ++v) {
      const int o = 1 - v;
      segment_backward(spec_, view[v], view[o].q, w.diagonal + begin,
                       static_cast<float>(entropy_scale),
                       static_cast<float>(entropy_scale * constants[v]),
                       dz[v] + begin);
    }
  }
  w.row_invariance[i] = invariance_sum;
}

}  // namespace music::cpu
