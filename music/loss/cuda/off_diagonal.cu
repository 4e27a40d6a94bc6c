#include "music/loss/cuda/off_diagonal.h"

#include "engine/core/device_runtime.h"
#include "music/loss/column_slabs.h"
#include "music/loss/cuda/tile_elements.h"

namespace music::cuda {
namespace {

struct SquareElements {
  struct Row {
    std::int64_t diagonal;  // its column, counted from the block's first
  };
  __device__ Row row(const TileBlock& block, std::int64_t a) const {
    return {block.row + a - block.column};
  }
  __device__ float take(const Row& row, const TileBlock&, std::int64_t b,
                        float (&v)[kPack]) const {
    float part = 0;
#pragma unroll
    for (int j = 0; j < kPack; ++j) {
      if (b + j == row.diagonal) v[j] = 0;
      part += v[j] * v[j];
    }
    return part;
  }
};

}  // namespace

void SquareRule::apply(const TileBlock& block, const float* m,
                       std::int64_t m_stride, void* g, std::int64_t g_stride,
                       DType type, double* sums, void* stream) const {
  launch_rule(SquareElements{}, block, m, m_stride, g, g_stride, type, sums,
              stream);
}

OffDiagonalSquares::OffDiagonalSquares(const ViewShape& shape, double scale,
                                       DType codes, Gradients gradients,
                                       const PanelWidths* widths)
    : shape_(shape), gradients_(gradients) {
  const TileProduct product{shape.n, shape.units, shape.stride, codes,
                            static_cast<float>(scale), 1};
  if (shape.communicator)
    slabs_.emplace(*shape.communicator,
                   static_cast<std::int64_t>(shape.samples),
                   column_slabs(shape.units, shape.communicator->size()),
                   product, gradients, widths ? widths->panel : 0);
  else
    panels_.emplace(product, gradients,
                    widths ? *widths : panel_widths(product.units, codes));
}

std::size_t OffDiagonalSquares::workspace_bytes() const {
  return slabs_ ? slabs_->workspace_bytes() : panels_->workspace_bytes();
}

std::int64_t OffDiagonalSquares::parts() const {
  return slabs_ ? slabs_->parts() : panels_->parts();
}

void OffDiagonalSquares::run(const void* a, const void* b, float* da, float* db,
                             double* sums, void* workspace,
                             void* stream) const {
  if (slabs_)
    slabs_->run(a, b, rule_, da, db, sums, workspace, stream);
  else
    panels_->run(a, b, rule_, da, db, sums, workspace, stream);
  if (gradients_ != Gradients::kNone) return;
  for (float* d : {da, db})
    if (d)
      set(d, 0, static_cast<std::size_t>(shape_.n * shape_.units) *
                    sizeof(float), stream);
}

}  // namespace music::cuda
