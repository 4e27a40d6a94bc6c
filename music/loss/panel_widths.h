#pragma once
// How much of a product of two views M [D,D] one GPU makes at a time.

#include <cstdint>

#include "engine/core/dtype.h"

namespace music {

// Columns of M at a time.
struct PanelWidths {
  std::int64_t panel = 0;  // of G: what dA is summed over at a time
  std::int64_t tile = 0;   // of M before it is G; no wider than the panel
};
// Panels as wide as pays, tiles of 32 MB: for D 8160 and F16 codes 67 MB and
// 33 MB, for F32 codes 33 MB in all.
PanelWidths panel_widths(std::int64_t units, DType codes);

}  // namespace music
