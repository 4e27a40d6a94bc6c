#pragma once
// A block of a product of two views, M = scale A^T B, on the CPU, never stored:
// the sum of a tile rule's f over it, and what f' adds to the gradients.
//
// f is elementwise, so a tile of M yields its part of the loss and of both
// gradients while it is in cache: three products a tile, nothing is computed
// twice; two where only one side's gradient is wanted.

#include <cstddef>
#include <cstdint>

#include "music/loss/cpu/tile_rule.h"

namespace music::cpu {

// Units [row, row + rows) of A by [column, column + columns) of B. a and da
// point at unit `row` of sample 0, b and db at unit `column`; strides are in
// floats between samples. da, db: null where not wanted.
struct TileBlock {
  std::int64_t row = 0, rows = 0, column = 0, columns = 0;
  const float *a = nullptr, *b = nullptr;
  float *da = nullptr, *db = nullptr;
  std::int64_t stride_a = 0, stride_b = 0;
};

class TilePanel {
 public:
  // samples: rows of A and B. units: D, no block is larger.
  TilePanel(std::int64_t samples, float scale, std::int64_t units, int threads);

  int threads() const { return threads_; }
  std::size_t workspace_bytes() const;  // about 0.6 MB a thread

  // Returns the sum of f over the block; with G of f' adds B G^T to da and A G
  // to db. Same thread count, same bits.
  double run(const TileBlock& block, const TileRule& rule,
             void* workspace) const;

 private:
  bool cell(const TileBlock& block, const TileRule& rule, int slab, int group,
            float* tile, double& sum) const;

  std::int64_t samples_;
  float scale_;
  int threads_;
  std::int64_t edge_;  // of a tile
};

}  // namespace music::cpu
