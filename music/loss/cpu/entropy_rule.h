#pragma once
// The tile rule of the joint entropy: f = P log(P D_s' D_s'') off the diagonal
// blocks of P and 0 in them; what stands for f' is G = log(P D_s' D_s'').

#include <cstdint>
#include <vector>

#include "music/loss/cpu/tile_rule.h"
#include "music/loss/segments.h"

namespace music::cpu {

class EntropyRule final : public TileRule {
 public:
  explicit EntropyRule(const Segments& segments);
  double apply(float* tile, std::int64_t row, std::int64_t rows,
               std::int64_t column, std::int64_t columns) const override;

 private:
  Segments segments_;
  std::vector<std::int32_t> segment_of_;  // [D]
  std::vector<float> size_of_unit_;       // [D], units of the unit's segment
};

}  // namespace music::cpu
