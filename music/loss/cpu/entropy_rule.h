#pragma once
// The tile rule of the joint entropy: f = P log(P D_s' D_s'') off the diagonal
// blocks of P and 0 in them; what stands for f' is G = log(P D_s' D_s''). Both
// times the block's weight, where blocks have one.

#include <cstdint>
#include <vector>

#include "music/loss/cpu/tile_rule.h"
#include "music/loss/segments.h"

namespace music::cpu {

class EntropyRule final : public TileRule {
 public:
  // blocks: JointEntropySpec's.
  EntropyRule(const Segments& segments, const std::vector<double>& blocks);
  double apply(float* tile, std::int64_t row, std::int64_t rows,
               std::int64_t column, std::int64_t columns) const override;
  bool is_zero(std::int64_t row, std::int64_t rows, std::int64_t column,
               std::int64_t columns) const override;

 private:
  // Columns [begin, end) of a row of the tile, none in its diagonal block.
  double take(float* tile, std::int64_t segment, float row_scale,
              std::int64_t column, std::int64_t begin, std::int64_t end) const;

  Segments segments_;
  std::vector<float> blocks_;             // [S,S]; empty: 1
  std::vector<std::int32_t> segment_of_;  // [D]
  std::vector<float> size_of_unit_;       // [D], units of the unit's segment
};

}  // namespace music::cpu
