#include "music/loss/cuda/tile_panels.h"

#include <algorithm>
#include <numeric>

#include "engine/core/buffer.h"
#include "engine/cuda/elements.h"
#include "engine/cuda/launch.h"

namespace music::cuda {

TilePanels::TilePanels(const TileProduct& product, Gradients gradients,
                       const PanelWidths& widths)
    : product_(product), gradients_(gradients), widths_(widths) {
  const std::int64_t n = product.n, units = product.units;
  const std::int64_t stride = product.stride;
  MUSIC_CHECK(widths.panel > 0 && widths.panel % kPack == 0 &&
                  widths.tile > 0 && widths.tile % kPack == 0 &&
                  widths.tile <= widths.panel,
              "[tile_panels] panels of {} columns, tiles of {}",
              widths.panel, widths.tile);
  // M is made in G's place where they have one type.
  const bool in_place = product.codes == DType::kF32;
  const std::int64_t m_stride = in_place ? widths.panel : widths.tile;
  // Of dB, which may lie behind dA.
  const int alignment = static_cast<int>(std::gcd(n * units * 4, 16));
  for (std::int64_t j = 0; j < units; j += widths.panel) {
    const std::int64_t columns = std::min(widths.panel, units - j);
    for (std::int64_t t = 0; t < columns; t += widths.tile) {
      const std::int64_t width = std::min(widths.tile, columns - t);
      add(forward_, width,
          {units, width, n, stride, stride, m_stride, true, false,
           product.codes});
      parts_ += tile_parts(units);
    }
    if (gradients == Gradients::kNone) continue;
    add(second_, columns,
        {n, columns, units, stride, widths.panel, units, false, false,
         product.codes, DType::kF32, false, alignment});
    if (gradients == Gradients::kBoth)
      add(first_, columns,
          {n, units, columns, stride, widths.panel, units, false, true,
           product.codes});
  }
  const auto bytes = [&](std::int64_t columns, DType type) {
    return aligned(static_cast<std::size_t>(units * columns) * size_of(type));
  };
  if (gradients != Gradients::kNone || in_place)
    g_bytes_ = bytes(widths.panel, product.codes);
  if (!in_place) tile_bytes_ = bytes(widths.tile, DType::kF32);
  gemm_bytes_ = aligned(gemm_bytes_);
  workspace_bytes_ = g_bytes_ + tile_bytes_ + gemm_bytes_;
}

void TilePanels::add(Gemms& gemms, std::int64_t columns,
                     const GemmSpec& spec) {
  const auto [it, added] = gemms.try_emplace(columns, spec);
  if (added) gemm_bytes_ = std::max(gemm_bytes_, it->second.workspace_bytes());
}

void TilePanels::run(const void* a, const void* b, const TileRule& rule,
                     float* da, float* db, double* sums, void* workspace,
                     void* stream) const {
  const std::int64_t units = product_.units;
  const auto width = static_cast<std::int64_t>(size_of(product_.codes));
  const auto at = [&](const void* base, std::int64_t element) {
    return const_cast<std::byte*>(static_cast<const std::byte*>(base)) +
           element * width;
  };
  std::byte* const scratch = static_cast<std::byte*>(workspace);
  std::byte* const g = scratch + gemm_bytes_;
  std::byte* const tile = g + g_bytes_;
  const bool in_place = tile_bytes_ == 0;
  const bool gradient = gradients_ != Gradients::kNone;
  const std::int64_t m_stride = in_place ? widths_.panel : widths_.tile;

  for (std::int64_t j = 0; j < units; j += widths_.panel) {
    const std::int64_t columns = std::min(widths_.panel, units - j);
    for (std::int64_t t = 0; t < columns; t += widths_.tile) {
      const std::int64_t part = std::min(widths_.tile, columns - t);
      std::byte* const g_tile = at(g, t);
      float* const m = reinterpret_cast<float*>(in_place ? g_tile : tile);
      forward_.at(part).run(a, at(b, j + t), m, nullptr, product_.scale, 0,
                            scratch, stream);
      rule.apply({0, units, j + t, part}, m, m_stride,
                 gradient ? g_tile : nullptr, widths_.panel, product_.codes,
                 sums, stream);
      sums += tile_parts(units);
    }
    if (!gradient) continue;
    second_.at(columns).run(a, g, db + j, nullptr, product_.unscale, 0, scratch,
                            stream);
    if (gradients_ == Gradients::kBoth)
      first_.at(columns).run(at(b, j), g, da, nullptr, product_.unscale,
                             j == 0 ? 0 : 1, scratch, stream);
  }
}

}  // namespace music::cuda
