#pragma once
// The squares off the diagonal of M = scale A^T B [D,D] and their gradient, on
// the CPU, without M: what VICReg (a covariance, A = B) and Barlow Twins (a
// cross-correlation) take of it. A tile rule of tile_panel.h.

#include <cstddef>
#include <cstdint>
#include <optional>

#include "music/loss/cpu/tile_panel.h"
#include "music/loss/cpu/tile_slabs.h"
#include "music/loss/cpu/view_columns.h"

namespace music::cpu {

// f = m^2 off the diagonal of M and 0 on it; what stands for f' is half of it,
// m.
class SquareRule final : public TileRule {
 public:
  double apply(float* tile, std::int64_t row, std::int64_t rows,
               std::int64_t column, std::int64_t columns) const override;
};

class OffDiagonalSquares {
 public:
  // gradients: kB is for A = B, whose gradient is twice that of one side.
  OffDiagonalSquares(const ViewShape& shape, double scale, Gradients gradients);

  std::size_t workspace_bytes() const;

  // Returns this process's part of the sum of M_ab^2 over a != b. a, b: its
  // rows [n,D]. With G = M, 0 on the diagonal, da becomes B G^T and db A G; 0
  // where gradients are kNone; da is null for kB. All processes together.
  double run(const float* a, const float* b, float* da, float* db,
             void* workspace) const;

 private:
  ViewShape shape_;
  Gradients gradients_;
  SquareRule rule_;
  std::optional<TilePanel> panel_;  // of one process
  std::optional<TileSlabs> slabs_;  // of several
};

}  // namespace music::cpu
