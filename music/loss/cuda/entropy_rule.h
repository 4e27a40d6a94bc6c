#pragma once
// The tile rule of the joint entropy on the GPU: f = P log(P D_s' D_s'') off
// the diagonal blocks of P and 0 in them; what stands for f' is G = log(P D_s'
// D_s''). Both times the block's weight, where blocks have one.

#include "music/loss/cuda/segment_table.h"
#include "music/loss/cuda/tile_rule.h"

namespace music::cuda {

class EntropyRule final : public TileRule {
 public:
  // row_scales [D], column_scales from unit `first_column` on: unit_scale of
  // entropy_codes.h, the latter read by 16 bytes. Device memory, as that of the
  // table; the rule is made anew for each run.
  EntropyRule(const SegmentTable& segments, const float* row_scales,
              const float* column_scales, std::int64_t first_column = 0)
      : segments_(segments),
        row_scales_(row_scales),
        column_scales_(column_scales),
        first_column_(first_column) {}
  void apply(const TileBlock& block, const float* p, std::int64_t p_stride,
             void* g, std::int64_t g_stride, DType type, double* entropy,
             void* stream) const override;

 private:
  SegmentTable segments_;
  const float *row_scales_, *column_scales_;
  std::int64_t first_column_;
};

}  // namespace music::cuda
