#include "music/loss/cuda/entropy_panel.h"

#include <algorithm>
#include <numeric>

#include "engine/cuda/block_reduce.h"
#include "engine/cuda/elements.h"
#include "engine/cuda/launch.h"
#include "music/loss/joint_entropy_math.h"

namespace music::cuda {
namespace {

constexpr int kWarps = 8;
constexpr std::int64_t kTileBytes = 32 << 20;  // second-level cache

// entropy[b]: the sum of P G that block b met. A warp takes rows, 256 columns
// at a time.
template <typename T>
__global__ void __launch_bounds__(32 * kWarps)
    centre_block(SegmentTable segments, BlockOfP block,
                 const float* row_scales, const float* column_scales,
                 const float* p, std::int64_t p_stride, T* g,
                 std::int64_t g_stride, double* entropy) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  double sum = 0;
  for (std::int64_t a = std::int64_t{blockIdx.x} * kWarps + threadIdx.x / 32;
       a < block.rows; a += std::int64_t{gridDim.x} * kWarps) {
    const int s = segments.segment[block.row + a];
    const float row_scale = row_scales[a];
    // The diagonal block's columns, counted from the block's first.
    const std::int64_t begin = segments.begin[s] - block.column;
    const std::int64_t end = segments.begin[s + 1] - block.column;
    const float* const row = p + a * p_stride;
    for (std::int64_t b = lane * kPack; b < block.columns; b += 32 * kPack) {
      float v[kPack], scale[kPack];
      load_tail(row, b, block.columns, v);
      load_tail(column_scales, b, block.columns, scale);
      float part = 0;
#pragma unroll
      for (int j = 0; j < kPack; ++j) {
        const bool inside =
            (b + j >= begin && b + j < end) || b + j >= block.columns;
        const float log_p = centred_log(v[j], row_scale * scale[j]);
        const float x = inside ? 0.0f : log_p;
        part += v[j] * x;
        v[j] = x;
      }
      sum += static_cast<double>(part);
      if (g) store_tail(g + a * g_stride, b, block.columns, v);
    }
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) entropy[blockIdx.x] = sum;
}

std::int64_t round_up(std::int64_t n, std::int64_t to) {
  return ceil_div(n, to) * to;
}

// D in equal parts of whole multiples, none wider than `most`.
std::int64_t equal_parts(std::int64_t units, std::int64_t most,
                         std::int64_t multiple) {
  return round_up(ceil_div(units, ceil_div(units, most)), multiple);
}

}  // namespace

std::int64_t centre_parts(std::int64_t rows) {
  return std::min<std::int64_t>(ceil_div(rows, kWarps), 132 * 8);
}

void centre(const CodesPlan& codes, const BlockOfP& block,
            const float* row_scales, const float* column_scales, const float* p,
            std::int64_t p_stride, void* g, std::int64_t g_stride,
            double* entropy, void* stream) {
  const auto run = [&]<typename T>(T) {
    launch(centre_block<T>,
           {centre_parts(block.rows), 1, 1, 32 * kWarps}, stream,
           codes.segments, block, row_scales, column_scales, p, p_stride,
           static_cast<T*>(g), g_stride, entropy);
  };
  if (codes.codes == DType::kF16)
    run(Half{});
  else
    run(float{});
}

PanelWidths panel_widths(const CodesPlan& codes) {
  const std::int64_t units = codes.segments.units;
  // F32 products take so long that sums of dQ' over narrow panels cost nothing.
  const std::int64_t fit = std::max<std::int64_t>(
      kTileBytes / static_cast<std::int64_t>(sizeof(float)) / units / 128 * 128,
      256);
  const bool narrow = codes.codes == DType::kF16;
  PanelWidths w;
  w.panel = equal_parts(units, narrow ? 4096 : fit, 128);
  w.tile = narrow ? equal_parts(w.panel, fit, 128) : w.panel;
  return w;
}

EntropyPanels::EntropyPanels(const CodesPlan& codes, bool gradient,
                             const PanelWidths& widths)
    : plan_(codes), gradient_(gradient), widths_(widths) {
  const std::int64_t n = codes.n, units = codes.segments.units;
  MUSIC_CHECK(widths.panel > 0 && widths.panel % kPack == 0 &&
                  widths.tile > 0 && widths.tile % kPack == 0 &&
                  widths.tile <= widths.panel,
              "[joint_entropy] panels of {} columns, tiles of {}",
              widths.panel, widths.tile);
  // P is made in G's place where they have one type.
  const bool in_place = codes.codes == DType::kF32;
  const std::int64_t p_stride = in_place ? widths.panel : widths.tile;
  // Of dQ'', behind dQ'.
  const int alignment = static_cast<int>(std::gcd(n * units * 4, 16));
  for (std::int64_t j = 0; j < units; j += widths.panel) {
    const std::int64_t columns = std::min(widths.panel, units - j);
    for (std::int64_t t = 0; t < columns; t += widths.tile) {
      const std::int64_t width = std::min(widths.tile, columns - t);
      add(probabilities_, width,
          {units, width, n, codes.stride, codes.stride, p_stride, true, false,
           codes.codes});
      parts_ += centre_parts(units);
    }
    if (!gradient) continue;
    add(second_, columns,
        {n, columns, units, codes.stride, widths.panel, units, false, false,
         codes.codes, DType::kF32, false, alignment});
    add(first_, columns,
        {n, units, columns, codes.stride, widths.panel, units, false, true,
         codes.codes});
  }
  const auto bytes = [&](std::int64_t columns, DType type) {
    return aligned(static_cast<std::size_t>(units * columns) * size_of(type));
  };
  if (gradient || in_place) g_bytes_ = bytes(widths.panel, codes.codes);
  if (!in_place) tile_bytes_ = bytes(widths.tile, DType::kF32);
  gemm_bytes_ = aligned(gemm_bytes_);
  workspace_bytes_ = g_bytes_ + tile_bytes_ + gemm_bytes_;
}

void EntropyPanels::add(Gemms& gemms, std::int64_t columns,
                        const GemmSpec& spec) {
  const auto [it, added] = gemms.try_emplace(columns, spec);
  if (added) gemm_bytes_ = std::max(gemm_bytes_, it->second.workspace_bytes());
}

void EntropyPanels::run(const void* codes, const float* unit_scale, float* dq,
                        double* entropy, void* workspace, void* stream) const {
  const std::int64_t n = plan_.n, units = plan_.segments.units;
  const auto width = static_cast<std::int64_t>(size_of(plan_.codes));
  const auto at = [&](const void* base, std::int64_t element) {
    return const_cast<std::byte*>(static_cast<const std::byte*>(base)) +
           element * width;
  };
  const void* const q1 = codes;
  const void* const q2 = at(codes, n * plan_.stride);
  float* const dq1 = dq;
  float* const dq2 = dq + n * units;
  std::byte* const scratch = static_cast<std::byte*>(workspace);
  std::byte* const g = scratch + gemm_bytes_;
  std::byte* const tile = g + g_bytes_;
  const bool in_place = tile_bytes_ == 0;
  const std::int64_t p_stride = in_place ? widths_.panel : widths_.tile;
  const float unscale = 1.0f / code_scale(plan_.codes);
  const float mean = unscale * unscale / static_cast<float>(n);

  for (std::int64_t j = 0; j < units; j += widths_.panel) {
    const std::int64_t columns = std::min(widths_.panel, units - j);
    for (std::int64_t t = 0; t < columns; t += widths_.tile) {
      const std::int64_t part = std::min(widths_.tile, columns - t);
      std::byte* const g_tile = at(g, t);
      float* const p = reinterpret_cast<float*>(in_place ? g_tile : tile);
      probabilities_.at(part).run(q1, at(q2, j + t), p, nullptr, mean, 0,
                                  scratch, stream);
      centre(plan_, {0, units, j + t, part}, unit_scale,
             unit_scale + plan_.stride + j + t, p, p_stride,
             gradient_ ? g_tile : nullptr, widths_.panel, entropy, stream);
      entropy += centre_parts(units);
    }
    if (!gradient_) continue;
    second_.at(columns).run(q1, g, dq2 + j, nullptr, unscale, 0, scratch,
                            stream);
    first_.at(columns).run(at(q2, j), g, dq1, nullptr, unscale, j == 0 ? 0 : 1,
                           scratch, stream);
  }
}

}  // namespace music::cuda
