#pragma once
// A record's "segmentation" as run lengths.

#include <cstdint>

#include "music/detect/rle.h"
#include "music/eval/coco/record_reader.h"

namespace music::coco {

// The mask on an image of this size: polygons are filled and united (where the
// first has four numbers, all are boxes x, y, width, height), run lengths are
// checked and must be of this size. Errors (kData) do not name the record.
detect::Rle to_rle(const Segmentation& segmentation, std::uint32_t height,
                   std::uint32_t width);

}  // namespace music::coco
