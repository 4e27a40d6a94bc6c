#pragma once
// Is pre-training going well? Answered without labels, from the loss terms and
// the mean codes of one batch.

#include <cstdint>
#include <string>

#include "music/loss/joint_entropy_spec.h"
#include "music/loss/segments.h"

namespace music {

// What the terms are for codes whose nature is known (docs/numerics.md).
struct LossLines {
  JointEntropyTerms uniform;   // every q is 1/D_s: about where training starts
  JointEntropyTerms collapse;  // every sample has the same one-hot code
  JointEntropyTerms ideal;     // one-hot, and every pair of units equally often
  double oe_floor = 0;  // OE of one-hot codes of n samples is never below:
                        // a block has at most min(n, D_s' D_s'') non-zeros
};

LossLines loss_lines(const Segments& segments, const JointEntropySpec& spec,
                     std::int64_t n);

struct Health {
  // H(mean q) / log D_s, mean of the two views: 1 = all units of the segment
  // equally used, 0 = one unit. Mean and least over the segments.
  double usage_entropy = 0, usage_entropy_min = 0;
  // e^-TI: the chance that the two views of a sample draw the same unit
  // (geometric mean). NaN where TI is eq4 or none, which do not measure it.
  double agreement = 0;
  // Units whose mean q is below 0.05 / D_s in both views. A batch of n < 10 D_s
  // misses some units by chance.
  std::int64_t dead_units = 0;
  // How much of a segment another one tells: 0 = as independent as a batch of
  // n can show, 1 = each determines each. 0 where n is too small to tell. Of
  // units drawn by q: soft codes hide it, which their largest units do not
  // (music/codes/code_statistics.h).
  double redundancy = 0;
  LossLines lines;
  // In plain words; begins with "healthy", "starting", "collapsed", "views
  // disagree", "segments redundant" or "diverged".
  std::string verdict;
};

// terms: of a batch of n samples under `spec`. mean_q: [2,D], mean over the
// batch of q of each view.
Health assess(const JointEntropyTerms& terms, std::int64_t n,
              const Segments& segments, const JointEntropySpec& spec,
              const float* mean_q);

}  // namespace music
