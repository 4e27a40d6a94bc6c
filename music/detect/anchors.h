#pragma once
// Anchors of a region proposal network: boxes of every size and shape around
// each cell of a feature map, as detectron2 makes them (unrounded, offset 0).

#include <cstdint>
#include <vector>

#include "music/detect/boxes.h"

namespace music::detect {

struct AnchorSpec {
  std::vector<double> sizes{32, 64, 128, 256, 512};  // sides of squares, pixels
  std::vector<double> ratios{0.5, 1, 2};             // height / width
  float stride = 16;                                 // pixels between cells
};

// Around (0, 0): ratio by ratio for each size.
std::vector<Box> cell_anchors(const AnchorSpec& spec);

// Of a map of rows x columns: row by row, in a cell as above. None is left out
// at the borders.
std::vector<Box> grid_anchors(const AnchorSpec& spec, std::int64_t rows,
                              std::int64_t columns);

}  // namespace music::detect
