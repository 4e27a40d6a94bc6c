#include "engine/cpu/winograd.h"

#include <omp.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "engine/core/buffer.h"
#include "engine/cpu/panel_product.h"

namespace music::cpu {
namespace {

using namespace winograd;
using Index = std::int64_t;

// Rows of transformed tiles lie a cache line further apart than a power of two,
// which would map them all to the same few sets.
constexpr Index kPadding = 16;
// Transformed weights up to here are read from a cache by each core as it does
// one block of tiles after another by itself. Larger ones are made a panel at a
// time, by the thread that multiplies all tiles of a block with it.
constexpr Index kOwnWeights = 10 << 20;
// Tiles of a block: of one thread, of all, of all that add to the gradient of
// weights, which is not kept beside them where all tiles are one block.
constexpr Index kOwnTiles = 24, kSharedTiles = 264, kSummedTiles = 96;
constexpr Index kInputs = 48;  // input channels of a task of that gradient
// Of few channels so many groups of tiles have sums of their own, which are small:
// a core does whole groups, without waiting for others at every block.
constexpr Index kGroups = 16, kGroupSums = 10 << 20;

constexpr Index kFloat = sizeof(float);

Index padded(Index elements) {
  return static_cast<Index>(aligned(static_cast<std::size_t>(elements * kFloat))) /
         kFloat;
}

// Tiles are over the map of `out`.
Map map_of(const Shape& s, const Shape& out) {
  return {s[1], s[2], s[3], (out[1] + kOut - 1) / kOut,
          (out[2] + kOut - 1) / kOut};
}

Index tiles_of(const Shape& out) {
  const Map m = map_of(out, out);
  return out[0] * m.tiles_h * m.tiles_w;
}

// Elements from one position's tiles to the next's, for the same reason.
Index step_of(Index elements) { return elements + kPadding; }

// Blocks of equal size, in rows of the product's kernel.
Index block_of(Index tiles, Index most) {
  const Index blocks = (tiles + most - 1) / most;
  return std::min(tiles, ((tiles + blocks - 1) / blocks + 11) / 12 * 12);
}

}  // namespace

bool winograd_enabled() {
  const char* v = std::getenv("MUSIC_WINOGRAD");
  return !v || std::string_view(v) != "0";
}

bool winograd_pays(const Shape& w, const Shape& tiled, Conv2dSpec spec) {
  if (w[1] != 3 || w[2] != 3 || spec.stride != 1 || spec.pad > 2) return false;
  if (w[0] % 16 != 0 || w[3] % 16 != 0 || w[0] < 32 || w[3] < 32) return false;
  const Index tiles = tiles_of(tiled);
  return tiles >= 32 &&
         tiles * kOut * kOut <= 2 * tiled[0] * tiled[1] * tiled[2] &&
         winograd_enabled();
}

WinogradConvolution::WinogradConvolution(const Shape& from, const Shape& w,
                                         const Shape& to, int pad,
                                         bool transposed)
    : from_(map_of(from, to)), to_(map_of(to, to)), w_outputs_(w[0]),
      w_inputs_(w[3]), tiles_(tiles_of(to)), pad_(pad),
      row_(from[3] + kPadding), transposed_(transposed),
      shared_(kPositions * w[0] * w[3] * kFloat > kOwnWeights),
      threads_(omp_get_max_threads()) {
  block_ = shared_ ? block_of(tiles_, kSharedTiles)
                   : std::min<Index>(kOwnTiles,
                                     (tiles_ + threads_ - 1) / threads_);
  v_size_ = padded(kPositions * step_of(block_ * row_));
  m_size_ = padded(kPositions * step_of(block_ * to_.c));
  u_size_ = padded(kPositions * from_.c *
                   (shared_ ? std::min(panel_columns(), to_.c) : to_.c));
}

std::size_t WinogradConvolution::workspace_bytes() const {
  const Index each = shared_ ? u_size_ : v_size_ + m_size_;
  const Index once = shared_ ? v_size_ + m_size_ : u_size_;
  return static_cast<std::size_t>((once + threads_ * each) * kFloat);
}

void WinogradConvolution::run(const float* from, const float* w,
                              const Epilogue& after, float* to,
                              void* workspace) const {
  auto* floats = static_cast<float*>(workspace);
#pragma omp parallel num_threads(threads_)
  if (shared_)
    run_shared(from, w, after, to, floats);
  else
    run_blocks(from, w, after, to, floats);
}

// M[p] of a panel of the output channels from the panel's weights.
void WinogradConvolution::multiply_panel(const float* v, const float* panel,
                                         int p, Index tiles, Index first,
                                         Index columns, float* m) const {
  multiply(tiles, from_.c, columns, v + p * step_of(block_ * row_), row_, 1,
           panel + p * from_.c * columns, columns,
           m + p * step_of(block_ * to_.c) + first, to_.c, false);
}

void WinogradConvolution::run_blocks(const float* from, const float* w,
                                     const Epilogue& after, float* to,
                                     float* u) const {
  const Index panel = panel_columns();
  constexpr Index kGrain = 16;
#pragma omp for schedule(static) collapse(2)
  for (Index k = 0; k < to_.c; k += panel)
    for (Index c = 0; c < from_.c; c += kGrain)
      pack_weights(w, w_outputs_, w_inputs_, transposed_, k,
                   std::min(panel, to_.c - k), c, c + kGrain, {},
                   u + k * kPositions * from_.c);
  float* v = u + u_size_ + omp_get_thread_num() * (v_size_ + m_size_);
  float* m = v + v_size_;
#pragma omp for schedule(static)
  for (Index first = 0; first < tiles_; first += block_) {
    const Index last = std::min(tiles_, first + block_);
    transform_input(from_, pad_, from, first, last, v, row_,
                    step_of(block_ * row_));
    for (int p = 0; p < kPositions; ++p)
      for (Index k = 0; k < to_.c; k += panel)
        multiply_panel(v, u + k * kPositions * from_.c, p, last - first, k,
                       std::min(panel, to_.c - k), m);
    transform_output(to_, m, step_of(block_ * to_.c), first, last, after, to);
  }
}

void WinogradConvolution::run_shared(const float* from, const float* w,
                                     const Epilogue& after, float* to,
                                     float* v) const {
  const Index panel = panel_columns();
  const Index v_step = step_of(block_ * row_), m_step = step_of(block_ * to_.c);
  float* m = v + v_size_;
  float* u = m + m_size_ + omp_get_thread_num() * u_size_;
  // Something to do for every thread of many.
  const Index panels = (to_.c + panel - 1) / panel;
  const int parts =
      static_cast<int>(std::clamp<Index>(threads_ / panels, 1, kIn));
  for (Index first = 0; first < tiles_; first += block_) {
    const Index last = std::min(tiles_, first + block_);
#pragma omp for schedule(static)
    for (Index t = first; t < last; ++t)
      transform_input(from_, pad_, from, t, t + 1, v + (t - first) * row_, row_,
                      v_step);
#pragma omp for schedule(static) collapse(2)
    for (Index k = 0; k < to_.c; k += panel)
      for (int part = 0; part < parts; ++part) {
        const Index columns = std::min(panel, to_.c - k);
        const Part of{kIn * part / parts, kIn * (part + 1) / parts};
        pack_weights(w, w_outputs_, w_inputs_, transposed_, k, columns, 0,
                     from_.c, of, u);
        for (int p = 0; p < kPositions; ++p)
          if (p % kIn >= of.first && p % kIn < of.last)
            multiply_panel(v, u, p, last - first, k, columns, m);
      }
#pragma omp for schedule(static)
    for (Index t = first; t < last; ++t)
      transform_output(to_, m + (t - first) * to_.c, m_step, t, t + 1, after,
                       to);
  }
}

WinogradWeightGradient::WinogradWeightGradient(const Shape& x, const Shape& y,
                                               int pad)
    : x_(map_of(x, y)), y_(map_of(y, y)), tiles_(tiles_of(y)), pad_(pad),
      row_(x[3] + kPadding), whole_(tiles_ <= kSharedTiles),
      groups_(!whole_ && kGroups * kPositions * x_.c * y_.c * kFloat <= kGroupSums
                  ? kGroups : 0),
      block_(whole_ ? tiles_
                    : block_of(groups_ ? (tiles_ + groups_ - 1) / groups_
                                       : tiles_, kSummedTiles)),
      threads_(omp_get_max_threads()) {
  v_size_ = padded(kPositions * step_of(block_ * row_));
  z_size_ = padded(kPositions * step_of(block_ * y_.c));
  du_size_ = padded(kPositions *
                    (whole_ ? kInputs * panel_columns() : x_.c * y_.c));
}

std::size_t WinogradWeightGradient::workspace_bytes() const {
  const Index tiles = (groups_ ? threads_ : 1) * (v_size_ + z_size_);
  const Index sums = (groups_ ? groups_ : whole_ ? threads_ : 1) * du_size_;
  return static_cast<std::size_t>((tiles + sums) * kFloat);
}

void WinogradWeightGradient::run(const float* x, const float* dy, float* dw,
                                 void* workspace) const {
  auto* floats = static_cast<float*>(workspace);
#pragma omp parallel num_threads(threads_)
  if (whole_)
    run_whole(x, dy, dw, floats);
  else if (groups_)
    run_groups(x, dy, dw, floats);
  else
    run_blocks(x, dy, dw, floats);
}

void WinogradWeightGradient::run_whole(const float* x, const float* dy,
                                       float* dw, float* v) const {
  const Index panel = panel_columns();
  float* z = v + v_size_;
  float* own = z + z_size_ + omp_get_thread_num() * du_size_;
  transform(x, dy, 0, tiles_, v, z);
#pragma omp for schedule(static) collapse(2)
  for (Index c = 0; c < x_.c; c += kInputs)
    for (Index k = 0; k < y_.c; k += panel) {
      const Index columns = std::min(panel, y_.c - k);
      const Index end = std::min(c + kInputs, x_.c);
      for (int p = 0; p < kPositions; ++p)
        sum_tiles(v, z, p, tiles_, c, end, k, columns, false, own);
      weight_gradient(own, x_.c, k, columns, c, end, dw);
    }
}

void WinogradWeightGradient::run_groups(const float* x, const float* dy,
                                        float* dw, float* du) const {
  const Index panel = panel_columns();
  float* v = du + groups_ * du_size_ +
             omp_get_thread_num() * (v_size_ + z_size_);
  float* z = v + v_size_;
#pragma omp for schedule(static)
  for (Index g = 0; g < groups_; ++g) {
    const Index begin = tiles_ * g / groups_, end = tiles_ * (g + 1) / groups_;
    for (Index first = begin; first < end; first += block_) {
      const Index last = std::min(end, first + block_);
      transform_input(x_, pad_, x, first, last, v, row_, step_of(block_ * row_));
      transform_gradient(y_, dy, first, last, z, 0, block_,
                         step_of(block_ * y_.c));
      for (int p = 0; p < kPositions; ++p)
        for (Index k = 0; k < y_.c; k += panel)
          sum_tiles(v, z, p, last - first, 0, x_.c, k,
                    std::min(panel, y_.c - k), first > begin,
                    du + g * du_size_ + k * kPositions * x_.c);
    }
  }
  const Index positions = x_.c * y_.c;
#pragma omp for schedule(static)
  for (int p = 0; p < kPositions; ++p)
    for (Index g = 1; g < groups_; ++g) {
      float* sum = du + p * positions;
      const float* part = sum + g * du_size_;
#pragma omp simd
      for (Index i = 0; i < positions; ++i) sum[i] += part[i];
    }
#pragma omp for schedule(static)
  for (Index k = 0; k < y_.c; k += panel)
    weight_gradient(du + k * kPositions * x_.c, x_.c, k,
                    std::min(panel, y_.c - k), 0, x_.c, dw);
}

void WinogradWeightGradient::run_blocks(const float* x, const float* dy,
                                        float* dw, float* v) const {
  const Index panel = panel_columns();
  float *z = v + v_size_, *du = z + z_size_;
  for (Index first = 0; first < tiles_; first += block_) {
    const Index last = std::min(tiles_, first + block_);
    transform(x, dy, first, last, v, z);
#pragma omp for schedule(static) collapse(2)
    for (int p = 0; p < kPositions; ++p)
      for (Index k = 0; k < y_.c; k += panel)
        sum_tiles(v, z, p, last - first, 0, x_.c, k,
                  std::min(panel, y_.c - k), first > 0,
                  du + k * kPositions * x_.c);
  }
#pragma omp for schedule(static)
  for (Index k = 0; k < y_.c; k += panel)
    weight_gradient(du + k * kPositions * x_.c, x_.c, k,
                    std::min(panel, y_.c - k), 0, x_.c, dw);
}

void WinogradWeightGradient::transform(const float* x, const float* dy,
                                       Index first, Index last, float* v,
                                       float* z) const {
#pragma omp for schedule(static)
  for (Index t = first; t < last; ++t) {
    transform_input(x_, pad_, x, t, t + 1, v + (t - first) * row_, row_,
                    step_of(block_ * row_));
    transform_gradient(y_, dy, t, t + 1, z, t - first, block_,
                       step_of(block_ * y_.c));
  }
}

// dU[p] of input channels [c, end) and a panel of output channels.
void WinogradWeightGradient::sum_tiles(const float* v, const float* z, int p,
                                       Index tiles, Index c, Index end, Index k,
                                       Index columns, bool add,
                                       float* du) const {
  multiply(end - c, tiles, columns, v + p * step_of(block_ * row_) + c, 1, row_,
           z + p * step_of(block_ * y_.c) + k * block_, columns,
           du + p * (end - c) * columns, columns, add);
}

}  // namespace music::cpu
