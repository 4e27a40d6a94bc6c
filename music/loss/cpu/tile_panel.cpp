#include "music/loss/cpu/tile_panel.h"

#include <oneapi/dnnl/dnnl.h>
#include <omp.h>

#include <algorithm>

#include "engine/core/buffer.h"
#include "engine/core/error.h"

namespace music::cpu {
namespace {

constexpr std::int64_t kTile = 384;   // tile of 0.6 MB: second-level cache
constexpr std::int64_t kAlign = 16;   // parts begin on whole cache lines

// Where part i of `parts` of a range of units begins.
std::int64_t part_begin(std::int64_t units, int i, int parts) {
  return i == parts ? units : units * i / parts / kAlign * kAlign;
}

}  // namespace

TilePanel::TilePanel(std::int64_t samples, float scale, std::int64_t units,
                     int threads)
    : samples_(samples),
      scale_(scale),
      threads_(threads),
      edge_(std::min(kTile, units)) {}

std::size_t TilePanel::workspace_bytes() const {
  const auto threads = static_cast<std::size_t>(threads_);
  return aligned(threads * threads * sizeof(double)) +
         aligned(threads * static_cast<std::size_t>(edge_ * edge_) *
                 sizeof(float));
}

// The block in threads x threads cells. In step k thread t has column part t
// and row part t + k, so no two threads ever add to the same columns of da or
// db: nothing to reduce, and a fixed order of sums.
double TilePanel::run(const TileBlock& block, const TileRule& rule,
                      void* workspace) const {
  const auto cells = static_cast<std::size_t>(threads_) *
                     static_cast<std::size_t>(threads_);
  auto* sums = static_cast<double*>(workspace);
  auto* tiles = reinterpret_cast<float*>(static_cast<std::byte*>(workspace) +
                                         aligned(cells * sizeof(double)));
  bool failed = false;
#pragma omp parallel num_threads(threads_) reduction(|| : failed)
  {
    // A team of one does not count as parallel, and dnnl_sgemm would start
    // threads of its own; this setting ends with the region.
    omp_set_num_threads(1);
    for (int step = 0; step < threads_; ++step) {
#pragma omp for schedule(static, 1)
      for (int slab = 0; slab < threads_; ++slab) {
        const int group = (slab + step) % threads_;
        if (!cell(block, rule, slab, group, tiles + slab * edge_ * edge_,
                  sums[slab * threads_ + group]))
          failed = true;
      }
    }
  }
  MUSIC_CHECK(!failed, "[tile_panel] dnnl_sgemm failed for n {}, {} x {} "
              "units", samples_, block.rows, block.columns);
  double total = 0;
  for (std::size_t i = 0; i < cells; ++i) total += sums[i];
  return total;
}

bool TilePanel::cell(const TileBlock& block, const TileRule& rule, int slab,
                     int group, float* tile, double& sum) const {
  sum = 0;
  bool done = true;
  const std::int64_t end = part_begin(block.columns, slab + 1, threads_);
  const std::int64_t row_end = part_begin(block.rows, group + 1, threads_);
  for (std::int64_t b = part_begin(block.columns, slab, threads_); b < end;
       b += edge_) {
    const std::int64_t columns = std::min(edge_, end - b);
    for (std::int64_t a = part_begin(block.rows, group, threads_); a < row_end;
         a += edge_) {
      const std::int64_t rows = std::min(edge_, row_end - a);
      if (rule.is_zero(block.row + a, rows, block.column + b, columns))
        continue;
      done = done && dnnl_success == dnnl_sgemm(
          'T', 'N', rows, columns, samples_, scale_, block.a + a,
          block.stride_a, block.b + b, block.stride_b, 0, tile, columns);
      sum += rule.apply(tile, block.row + a, rows, block.column + b, columns);
      if (block.db)
        done = done && dnnl_success == dnnl_sgemm(
            'N', 'N', samples_, columns, rows, 1, block.a + a, block.stride_a,
            tile, columns, 1, block.db + b, block.stride_b);
      if (block.da)
        done = done && dnnl_success == dnnl_sgemm(
            'N', 'T', samples_, rows, columns, 1, block.b + b, block.stride_b,
            tile, columns, 1, block.da + a, block.stride_a);
    }
  }
  return done;
}

}  // namespace music::cpu
