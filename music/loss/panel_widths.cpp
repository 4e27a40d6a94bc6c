#include "music/loss/panel_widths.h"

#include <algorithm>

namespace music {
namespace {

constexpr std::int64_t kTileBytes = 32 << 20;  // second-level cache

// D in equal parts of whole multiples, none wider than `most`.
std::int64_t equal_parts(std::int64_t units, std::int64_t most,
                         std::int64_t multiple) {
  const std::int64_t parts = (units + most - 1) / most;
  const std::int64_t part = (units + parts - 1) / parts;
  return (part + multiple - 1) / multiple * multiple;
}

}  // namespace

PanelWidths panel_widths(std::int64_t units, DType codes) {
  // F32 products take so long that sums of dA over narrow panels cost nothing.
  const std::int64_t fit = std::max<std::int64_t>(
      kTileBytes / static_cast<std::int64_t>(sizeof(float)) / units / 128 * 128,
      256);
  const bool narrow = codes == DType::kF16;
  PanelWidths w;
  w.panel = equal_parts(units, narrow ? 4096 : fit, 128);
  w.tile = narrow ? equal_parts(w.panel, fit, 128) : w.panel;
  return w;
}

}  // namespace music
