#pragma once
// Per-element update rules and the walk over blocks of parameters that LARS
// and SGD share.

#include <cstdint>
#include <vector>

#include "engine/graph/parameters.h"

namespace music {

// p -= rate * mu with mu = momentum * mu + trust * (g + decay * p); with
// Nesterov p -= rate * (d + momentum * mu), d = trust * (g + decay * p).
struct UpdateRule {
  float rate, momentum, trust, decay;
  bool nesterov;

  void operator()(float& p, float g, float& mu) const {
    const float d = trust * (g + decay * p);
    mu = momentum * mu + d;
    p -= rate * (nesterov ? d + momentum * mu : mu);
  }
};

// Up to 64 Ki elements of one parameter: the unit of work of a thread. Fixed by
// the parameters alone, so sums over blocks do not depend on the thread count.
struct ParameterBlock {
  int parameter;
  std::int64_t begin, end;  // offsets into the flat block
};

std::vector<ParameterBlock> parameter_blocks(const Parameters& parameters);

// Applies rules[parameter] to every element.
void apply_update(Parameters& parameters,
                  const std::vector<ParameterBlock>& blocks,
                  const std::vector<UpdateRule>& rules);

}  // namespace music
