#pragma once
// The MUSIC loss and its gradient on the CPU, in fp32, never holding D x D.
//
// The gradient of the entropy with respect to P is elementwise in P, so a tile
// of P = Q'^T Q''/N yields its part of the loss and of both gradients while it
// is in cache: three products a tile, nothing is computed twice.

#include <cstddef>
#include <cstdint>

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

  // Scratch that run() needs, 64-byte aligned, contents irrelevant. About two
  // matrices [n,D] and 2 MB a thread.
  std::size_t workspace_bytes() const { return workspace_bytes_; }

  // z1, z2: logits [n,D] of the two views. dz1, dz2: d total / d z, [n,D],
  // overwritten; they must not overlap the inputs. mean_q: [2,D], mean over the
  // samples of q of each view, or null. Same thread count, same bits. Non-finite
  // logits give a non-finite total.
  void run(const float* z1, const float* z2, float* dz1, float* dz2,
           float* mean_q, JointEntropyTerms& terms, void* workspace) const;

 private:
  struct Workspace;
  Workspace carve(void* workspace) const;
  void softmax_rows(const float* z, float* q) const;
  void column_statistics(const Workspace& w, float* mean_q) const;
  void entropy_cells(const Workspace& w, float* dq1, float* dq2) const;
  void backward_rows(const Workspace& w, const float* z1, const float* z2,
                     float* dz1, float* dz2) const;

  std::int64_t n_;
  Segments segments_;
  JointEntropySpec spec_;
  int threads_;
  double diagonal_weight_, off_diagonal_weight_;
  std::size_t workspace_bytes_;
};

}  // namespace music::cpu
