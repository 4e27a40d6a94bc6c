#include "engine/optim/update.h"

#include <algorithm>

namespace music {

std::vector<ParameterBlock> parameter_blocks(const Parameters& parameters,
                                             std::int64_t elements) {
  std::vector<ParameterBlock> blocks;
  for (std::size_t i = 0; i < parameters.table().size(); ++i) {
    const auto& p = parameters.table()[i];
    if (p.frozen) continue;
    const std::int64_t end = p.offset + p.shape.elements();
    for (std::int64_t b = p.offset; b < end; b += elements)
      blocks.push_back({static_cast<int>(i), b, std::min(end, b + elements)});
  }
  return blocks;
}

void apply_update(Parameters& parameters,
                  const std::vector<ParameterBlock>& blocks,
                  const std::vector<UpdateRule>& rules, float target_momentum) {
  float* p = parameters.flat_values();
  const float* g = parameters.flat_gradients();
  float* mu = parameters.flat_momentum();
  float* target = parameters.flat_target();
#pragma omp parallel for schedule(static)
  for (std::size_t b = 0; b < blocks.size(); ++b) {
    const ParameterBlock& block = blocks[b];
    const UpdateRule rule = rules[static_cast<std::size_t>(block.parameter)];
    const std::int64_t begin = block.begin, end = block.end;
    if (!rule.still) {
#pragma omp simd
      for (std::int64_t i = begin; i < end; ++i) rule(p[i], g[i], mu[i]);
    }
    if (!target) continue;
#pragma omp simd
    for (std::int64_t i = begin; i < end; ++i)
      follow(target[i], p[i], target_momentum);
  }
}

}  // namespace music
