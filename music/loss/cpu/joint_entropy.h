#pragma once
// The MUSIC loss and its gradient on the CPU, in fp32, never holding D x D.
//
// With a communicator the samples of all ranks make one batch: P, and with it
// the loss and every gradient, are those of one process with all samples
// (loss.scope "global"); or each rank has a P of its own and the loss is their
// mean by samples ("local"). All ranks then run() together and get equal terms.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "dist/communicator.h"
#include "music/loss/cpu/entropy_rule.h"
#include "music/loss/cpu/tile_panel.h"
#include "music/loss/cpu/tile_slabs.h"
#include "music/loss/joint_entropy_spec.h"
#include "music/loss/segments.h"

namespace music::cpu {

struct JointEntropyProblem {
  std::int64_t n = 0;                  // samples, >= 1
  const Segments* segments = nullptr;  // copied by the constructor
  JointEntropySpec spec;
  int threads = 0;  // 0 = omp_get_max_threads()
  // Of the processes that share the batch; null: this one has all of it. n is
  // then shard_size(batch, rank, size).
  dist::Communicator* communicator = nullptr;
  std::int64_t batch = 0;  // samples of all ranks
};

class JointEntropy {
 public:
  // Plans tiles and threads. Throws what check_spec() does.
  explicit JointEntropy(const JointEntropyProblem& problem);

  // Scratch that run() needs, 64-byte aligned, contents irrelevant: about two
  // matrices [n,D], 0.6 MB a thread, and what TileSlabs says.
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
  void softmax_row(const float* z, float* q) const;
  double diagonal_of_p(const Workspace& w, float* mean_q) const;
  double entropy_of_p(const Workspace& w, float* dz1, float* dz2) const;
  // Of segment s of view 1 with t of view 2.
  double block(std::int64_t s, std::int64_t t) const {
    return spec_.blocks.empty()
               ? 1
               : spec_.blocks[static_cast<std::size_t>(s * segments_.count() +
                                                       t)];
  }
  double weighted_constants(const double* const mass[2], std::int64_t s,
                            double constants[2]) const;
  void add_up(JointEntropyTerms& terms) const;
  void average(float* dz1, float* dz2, float* mean_q,
               JointEntropyTerms& terms) const;
  void backward_row(const Workspace& w, std::int64_t i, const float* const z[2],
                    float* const dz[2]) const;

  std::int64_t n_, units_;
  std::int64_t all_ = 0;      // samples of all ranks
  std::int64_t samples_ = 0;  // N of P: all_, or n_
  Segments segments_;
  JointEntropySpec spec_;
  int threads_;
  std::int64_t largest_ = 0;  // units of the largest segment
  EntropyWeights weights_;
  std::vector<double> log_size_;          // [S], log of a segment's units
  dist::Communicator* communicator_ = nullptr;  // of several ranks
  bool global_ = false;
  // The entropy of P: by slabs of columns, or whole.
  bool gradient_ = false;  // of the entropy
  EntropyRule rule_;
  std::optional<TileSlabs> slabs_;
  std::optional<TilePanel> panel_;
  std::size_t workspace_bytes_ = 0;
};

}  // namespace music::cpu
