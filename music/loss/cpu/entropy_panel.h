#pragma once
// A block of the matrix P of joint probabilities on the CPU, never stored: its
// part of the entropy off the diagonal blocks, and what it adds to dL/dq.
//
// The gradient of the entropy with respect to P is elementwise in P, so a tile
// of P = Q1^T Q2 / N yields its part of the loss and of both gradients while it
// is in cache: three products a tile, nothing is computed twice.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "music/loss/segments.h"

namespace music::cpu {

// Units [row, row + rows) of view 1 by [column, column + columns) of view 2.
// q1 and dq1 point at unit `row` of sample 0, q2 and dq2 at unit `column`;
// strides are in floats between samples.
struct EntropyBlock {
  std::int64_t row = 0, rows = 0, column = 0, columns = 0;
  const float *q1 = nullptr, *q2 = nullptr;
  float *dq1 = nullptr, *dq2 = nullptr;
  std::int64_t stride1 = 0, stride2 = 0;
};

class EntropyPanel {
 public:
  // samples: N of P, over all processes. gradient: dq is wanted.
  EntropyPanel(std::int64_t samples, const Segments& segments, int threads,
               bool gradient);

  int threads() const { return threads_; }
  std::size_t workspace_bytes() const;  // about 0.6 MB a thread

  // Returns the sum of P log(P D_s' D_s'') over the block, without the diagonal
  // blocks of P; adds q2 G^T to dq1 and q1 G to dq2, G = log(P D_s' D_s'').
  // Same thread count, same bits.
  double run(const EntropyBlock& block, void* workspace) const;

 private:
  bool cell(const EntropyBlock& block, int slab, int group, float* tile,
            double& entropy) const;
  double centre_tile(float* tile, std::int64_t row, std::int64_t rows,
                     std::int64_t column, std::int64_t columns) const;

  std::int64_t samples_;
  Segments segments_;
  int threads_;
  bool gradient_;
  std::int64_t edge_;  // of a tile
  std::vector<std::int32_t> segment_of_;  // [D]
  std::vector<float> size_of_unit_;       // [D], units of the unit's segment
};

}  // namespace music::cpu
