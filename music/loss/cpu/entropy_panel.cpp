#include "music/loss/cpu/entropy_panel.h"

#include <oneapi/dnnl/dnnl.h>
#include <omp.h>

#include <algorithm>

#include "engine/core/buffer.h"
#include "engine/core/error.h"
#include "music/loss/joint_entropy_math.h"

namespace music::cpu {
namespace {

constexpr std::int64_t kTile = 384;   // P tile of 0.6 MB: second-level cache
constexpr std::int64_t kAlign = 16;   // parts begin on whole cache lines

// Where part i of `parts` of a range of units begins.
std::int64_t part_begin(std::int64_t units, int i, int parts) {
  return i == parts ? units : units * i / parts / kAlign * kAlign;
}

// Turns a piece of a row of P into centred logarithms; returns sum P log.
double centre(float* p, const float* scale, float row_scale,
              std::int64_t count) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t b = 0; b < count; ++b) {
    const float g = centred_log(p[b], row_scale * scale[b]);
    sum += p[b] * g;
    p[b] = g;
  }
  return static_cast<double>(sum);
}

}  // namespace

EntropyPanel::EntropyPanel(std::int64_t samples, const Segments& segments,
                           int threads, bool gradient)
    : samples_(samples),
      segments_(segments),
      threads_(threads),
      gradient_(gradient),
      edge_(std::min(kTile, segments.units())) {
  for (std::int64_t s = 0; s < segments_.count(); ++s) {
    const auto size = static_cast<std::size_t>(segments_.size(s));
    segment_of_.insert(segment_of_.end(), size, static_cast<std::int32_t>(s));
    size_of_unit_.insert(size_of_unit_.end(), size, static_cast<float>(size));
  }
}

std::size_t EntropyPanel::workspace_bytes() const {
  const auto threads = static_cast<std::size_t>(threads_);
  return aligned(threads * threads * sizeof(double)) +
         aligned(threads * static_cast<std::size_t>(edge_ * edge_) *
                 sizeof(float));
}

// The block in threads x threads cells. In step k thread t has column part t
// and row part t + k, so no two threads ever add to the same columns of dq1 or
// dq2: nothing to reduce, and a fixed order of sums.
double EntropyPanel::run(const EntropyBlock& block, void* workspace) const {
  const auto cells = static_cast<std::size_t>(threads_) *
                     static_cast<std::size_t>(threads_);
  auto* entropy = static_cast<double*>(workspace);
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
        if (!cell(block, slab, group, tiles + slab * edge_ * edge_,
                  entropy[slab * threads_ + group]))
          failed = true;
      }
    }
  }
  MUSIC_CHECK(!failed, "[joint_entropy] dnnl_sgemm failed for n {}, {} x {} "
              "units", samples_, block.rows, block.columns);
  double total = 0;
  for (std::size_t i = 0; i < cells; ++i) total += entropy[i];
  return total;
}

bool EntropyPanel::cell(const EntropyBlock& block, int slab, int group,
                        float* tile, double& entropy) const {
  entropy = 0;
  bool done = true;
  const float scale = 1.0f / static_cast<float>(samples_);
  const std::int64_t end = part_begin(block.columns, slab + 1, threads_);
  const std::int64_t row_end = part_begin(block.rows, group + 1, threads_);
  for (std::int64_t b = part_begin(block.columns, slab, threads_); b < end;
       b += edge_) {
    const std::int64_t columns = std::min(edge_, end - b);
    for (std::int64_t a = part_begin(block.rows, group, threads_); a < row_end;
         a += edge_) {
      const std::int64_t rows = std::min(edge_, row_end - a);
      done = done && dnnl_success == dnnl_sgemm(
          'T', 'N', rows, columns, samples_, scale, block.q1 + a,
          block.stride1, block.q2 + b, block.stride2, 0, tile, columns);
      entropy += centre_tile(tile, block.row + a, rows, block.column + b,
                             columns);
      if (!gradient_) continue;
      done = done && dnnl_success == dnnl_sgemm(
          'N', 'N', samples_, columns, rows, 1, block.q1 + a, block.stride1,
          tile, columns, 1, block.dq2 + b, block.stride2);
      done = done && dnnl_success == dnnl_sgemm(
          'N', 'T', samples_, rows, columns, 1, block.q2 + b, block.stride2,
          tile, columns, 1, block.dq1 + a, block.stride1);
    }
  }
  return done;
}

// P -> G: logarithms off the diagonal blocks, zero in them.
double EntropyPanel::centre_tile(float* tile, std::int64_t row,
                                 std::int64_t rows, std::int64_t column,
                                 std::int64_t columns) const {
  const float* scale = size_of_unit_.data() + column;
  double entropy = 0;
  for (std::int64_t a = row; a < row + rows; ++a, tile += columns) {
    const std::int64_t s = segment_of_[static_cast<std::size_t>(a)];
    const float row_scale = size_of_unit_[static_cast<std::size_t>(a)];
    const std::int64_t begin =
        std::clamp<std::int64_t>(segments_.begin(s) - column, 0, columns);
    const std::int64_t end =
        std::clamp<std::int64_t>(segments_.begin(s + 1) - column, 0, columns);
    entropy += centre(tile, scale, row_scale, begin);
    std::fill(tile + begin, tile + end, 0.0f);
    entropy += centre(tile + end, scale + end, row_scale, columns - end);
  }
  return entropy;
}

}  // namespace music::cpu
