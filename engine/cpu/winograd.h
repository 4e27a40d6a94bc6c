#pragma once
// 3x3 convolutions of stride 1 by Winograd's minimal filtering, F(4x4,3x3): all
// three passes, NHWC, fp32. A quarter of the products of a direct convolution
// where tiles of 4x4 fill the map. Sums over channels and tiles have one order for any
// number of threads. MUSIC_WINOGRAD=0 turns it off.

#include <cstddef>

#include "engine/core/shape.h"
#include "engine/cpu/winograd_kernels.h"
#include "engine/ops/conv2d.h"

namespace music::cpu {

// False with MUSIC_WINOGRAD=0.
bool winograd_enabled();

// Whether it is a 3x3 convolution of stride 1 that gains: channels in sixteens
// from 32 on, at most half of what the tiles cover outside the map they lie on (y,
// or dx for its gradient), and tiles enough to pay for the transform of the weights.
bool winograd_pays(const Shape& w, const Shape& tiled, Conv2dSpec spec);

// y = conv(x, w), or dx = the same of dy and turned weights.
class WinogradConvolution {
 public:
  // from, to: the maps read and written; w [K,3,3,C].
  WinogradConvolution(const Shape& from, const Shape& w, const Shape& to,
                      int pad, bool transposed);
  std::size_t workspace_bytes() const;
  void run(const float* from, const float* w, const winograd::Epilogue& after,
           float* to, void* workspace) const;

 private:
  // The following inside a parallel region.
  void run_blocks(const float* from, const float* w,
                  const winograd::Epilogue& after, float* to, float* u) const;
  void run_shared(const float* from, const float* w,
                  const winograd::Epilogue& after, float* to, float* v) const;
  void multiply_panel(const float* v, const float* panel, int p,
                      std::int64_t tiles, std::int64_t first,
                      std::int64_t columns, float* m) const;

  winograd::Map from_, to_;
  std::int64_t w_outputs_, w_inputs_, tiles_, pad_, row_, block_ = 0;
  bool transposed_, shared_;
  int threads_;
  std::int64_t u_size_ = 0, v_size_ = 0, m_size_ = 0;
};

// dw from x and dy.
class WinogradWeightGradient {
 public:
  WinogradWeightGradient(const Shape& x, const Shape& y, int pad);
  std::size_t workspace_bytes() const;
  void run(const float* x, const float* dy, float* dw, void* workspace) const;

 private:
  // The following inside a parallel region.
  void run_whole(const float* x, const float* dy, float* dw, float* v) const;
  void run_groups(const float* x, const float* dy, float* dw, float* du) const;
  void run_blocks(const float* x, const float* dy, float* dw, float* v) const;
  void transform(const float* x, const float* dy, std::int64_t first,
                 std::int64_t last, float* v, float* z) const;
  void sum_tiles(const float* v, const float* z, int p, std::int64_t tiles,
                 std::int64_t c, std::int64_t end, std::int64_t k,
                 std::int64_t columns, bool add, float* du) const;

  winograd::Map x_, y_;
  std::int64_t tiles_, pad_, row_;
  bool whole_;  // all tiles are one block
  std::int64_t groups_;  // of tiles, each with sums of its own; 0: none
  std::int64_t block_;
  int threads_;
  std::int64_t v_size_ = 0, z_size_ = 0, du_size_ = 0;
};

}  // namespace music::cpu
