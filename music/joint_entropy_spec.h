#pragma once
// What the MUSIC loss is made of (paper eq. 3-5; reference values in
// docs/numerics.md). Options settle the paper's contradictions.

namespace music {

enum class EntropyNorm {
  kEq5,  // 1/S on the diagonal, 1/(S(S-1)) off it (the default)
  kEq3,  // 1/S^2 on everything
};

enum class Invariance {
  kInner,  // -mean log sum_d q' q''          (pseudo-code; the default)
  kEq4,    // -mean sum_d log(q' q'')         (eq. 4 as printed)
  kXent,   // -mean sum_d q' log q''          (cross-entropy of Table 8)
  kNone,
};

enum class LossScope { kGlobal, kLocal };

struct JointEntropySpec {
  EntropyNorm norm = EntropyNorm::kEq5;
  Invariance invariance = Invariance::kInner;
  double de = 1, oe = 1, ti = 1;  // coefficients of the three terms
  double temperature = 1;         // q = softmax(z / temperature)
  double clamp = 1e-8;            // q = max(q, clamp), not renormalised
  LossScope scope = LossScope::kGlobal;
};

}  // namespace music
