#pragma once
// The MUSIC loss and its gradient on the CPU, in fp32, never holding D x D.
//
// The gradient of the entropy with respect to P is elementwise in P, so a tile
// of P = Q'^T Q''/N yields its part of the loss and of both gradients while it
// is in cache: three products a tile, nothing is computed twice.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "music/coding.h"
#include "music/joint_entropy_spec.h"

namespace music::cpu {

struct JointEntropyProblem {
  std::int64_t n = 0;                  // samples, >= 1
  const Segments* segments = nullptr;  // copied by the constructor
  JointEntropySpec spec;
  int threads = 0;  // 0 = omp_get_max_threads()
};

class JointEntropy {
 public:
  // Plans tiles and threads. Throws ExitCode::kUsage unless temperature > 0,
  // 0 <= clamp < 1 and the coefficients are finite.
  explicit JointEntropy(const JointEntropyProblem& problem);

  // Scratch that run() needs, 64-byte aligned, contents irrelevant: about two
  // matrices [n,D] and 0.6 MB a thread.
  std::size_t workspace_bytes() const { return workspace_bytes_; }

  // z1, z2: logits [n,D] of the two views. dz1, dz2: d total / d z, [n,D],
  // overwritten; they must not overlap the inputs. mean_q: [2,D], mean over the
  // samples of q of each view, or null. Same thread count, same bits. Non-finite
  // logits give a non-finite total.
  void run(const float* z1, const float* z2, float* dz1, float* dz2,
           float* mean_q, JointEntropyTerms& terms, void* workspace) const;

 private:
  struct Workspace;
  std::size_t carve(void* base, Workspace& w) const;
  std::int64_t slab_begin(int slab) const;
  void softmax_row(const float* z, float* q) const;
  void column_statistics(const Workspace& w, float* mean_q) const;
  void entropy_of_p(const Workspace& w, float* dq1, float* dq2) const;
  bool entropy_cell(const Workspace& w, int slab, int group, float* dq1,
                    float* dq2) const;
  double centre_tile(float* tile, std::int64_t row, std::int64_t rows,
                     std::int64_t column, std::int64_t columns) const;
  void backward_row(const Workspace& w, std::int64_t i, const float* const z[2],
                    float* const dz[2]) const;

  std::int64_t n_, units_;
  Segments segments_;
  JointEntropySpec spec_;
  int threads_;
  std::int64_t largest_ = 0;  // units of the largest segment
  double diagonal_weight_ = 0, off_diagonal_weight_ = 0;
  std::vector<double> log_size_;          // [S], log of a segment's units
  std::vector<std::int32_t> segment_of_;  // [D]
  std::vector<float> size_of_unit_;       // [D], units of the unit's segment
  std::size_t workspace_bytes_ = 0;
};

}  // namespace music::cpu
