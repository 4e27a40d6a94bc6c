#pragma once
// The squares off the diagonal of M = scale A^T B [D,D] and their gradient, on
// the GPU, without M: the GPU's side of music/loss/cpu/off_diagonal.h.

#include <cstddef>
#include <cstdint>
#include <optional>

#include "music/loss/cuda/tile_panels.h"
#include "music/loss/cuda/tile_slabs.h"
#include "music/loss/cuda/view_columns.h"

namespace music::cuda {

// f = m^2 off the diagonal of M and 0 on it; what stands for f' is half of it,
// m.
class SquareRule final : public TileRule {
 public:
  void apply(const TileBlock& block, const float* m, std::int64_t m_stride,
             void* g, std::int64_t g_stride, DType type, double* sums,
             void* stream) const override;
};

class OffDiagonalSquares {
 public:
  // gradients: kB is for A = B, whose gradient is twice that of one side.
  // widths: of panels; null: as wide as pays.
  OffDiagonalSquares(const ViewShape& shape, double scale, DType codes,
                     Gradients gradients, const PanelWidths* widths);

  // The workspace is aligned to 256 bytes.
  std::size_t workspace_bytes() const;
  std::int64_t parts() const;

  // a, b [n,stride], of the codes' type -> sums [parts()]: this process's parts
  // of the sum of M_ab^2 over a != b. With G = M, 0 on the diagonal, da [n,D]
  // becomes B G^T and db A G; 0 where gradients are kNone; da is null for kB.
  // All processes together.
  void run(const void* a, const void* b, float* da, float* db, double* sums,
           void* workspace, void* stream) const;

 private:
  ViewShape shape_;
  Gradients gradients_;
  SquareRule rule_;
  std::optional<TilePanels> panels_;  // of one process
  std::optional<TileSlabs> slabs_;    // of several
};

}  // namespace music::cuda
