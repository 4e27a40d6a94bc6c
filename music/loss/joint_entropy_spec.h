#pragma once
// What the MUSIC loss is made of (paper eq. 3-5; reference values in
// docs/numerics.md). Options settle the paper's contradictions.
//
// P(s',s'',d',d'') = mean_i q'_i(s',d') q''_i(s'',d''). DE sums P log P over
// the diagonals of the diagonal blocks, OE over all of the off-diagonal blocks
// (both orders), each weighted by EntropyNorm; TI compares the two views sample
// by sample. Uneven segments make rectangular blocks; the weights stay one
// per block, whatever its size, and TI is the mean over samples and segments.

#include <cstdint>
#include <vector>

namespace music {

enum class EntropyNorm {
  kEq5,  // 1/S on the diagonal, 1/(S(S-1)) off it (the default); OE = 0 at S=1
  kEq3,  // 1/S^2 on everything
};

enum class Invariance {
  kInner,  // -mean log sum_d q' q''          (pseudo-code; the default)
  kEq4,    // -mean sum_d log(q' q'')         (eq. 4 as printed)
  kXent,   // -mean sum_d q' log q''          (cross-entropy of Table 8)
  kNone,
};

// Which samples make P where several processes share a batch.
enum class LossScope {
  kGlobal,  // those of all processes: the loss of the whole batch (the default)
  kLocal,   // each process its own: an ablation, another loss
};

struct JointEntropySpec {
  EntropyNorm norm = EntropyNorm::kEq5;
  Invariance invariance = Invariance::kInner;
  double de = 1, oe = 1, ti = 1;  // coefficients of the three terms
  double temperature = 1;         // q = softmax(z / temperature)
  double clamp = 1e-8;            // q = max(q, clamp), not renormalised
  LossScope scope = LossScope::kGlobal;
  // What multiplies the entropy of each block beside EntropyNorm, [S,S] by rows
  // (segments of view 1); empty: 1. On the diagonal DE's, off it OE's, which
  // need not be symmetric. 1: the two segments are to be independent, 0: they
  // may be anything, below 0: they are to depend on each other.
  std::vector<double> blocks = {};
};

// Throws ExitCode::kUsage unless temperature > 0, 0 <= clamp < 1, the
// coefficients are finite, and blocks are S^2 finite numbers or none.
void check_spec(const JointEntropySpec& spec, std::int64_t segments);

// What `norm` multiplies DE and OE with; OE's is 0 for one segment.
struct EntropyWeights {
  double diagonal = 0, off_diagonal = 0;
};
EntropyWeights entropy_weights(EntropyNorm norm, std::int64_t segments);

// One evaluation of the loss. The terms stand without their coefficients;
// total = spec.de * de + spec.oe * oe + spec.ti * ti.
struct JointEntropyTerms {
  double de = 0, oe = 0, ti = 0, total = 0;
};

}  // namespace music
