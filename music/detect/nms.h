#pragma once
// Non-maximum suppression: of boxes that overlap, the best.

#include <cstdint>
#include <span>
#include <vector>

#include "music/detect/boxes.h"

namespace music::detect {

// Places of the boxes that stay, by falling score (of equal ones the first
// first). A box goes when its overlap with one that stays is above the
// threshold; at the threshold it stays. Scores are no NaN. Equal to
// torchvision.ops.nms.
std::vector<std::int32_t> nms(std::span<const Box> boxes,
                              std::span<const float> scores, double threshold);

// The same with classes that do not know of each other: truly one by one, where
// adding an offset to each class's boxes would round them. Places over all
// classes, by falling score.
std::vector<std::int32_t> nms_by_class(std::span<const Box> boxes,
                                       std::span<const float> scores,
                                       std::span<const std::int32_t> classes,
                                       double threshold);

}  // namespace music::detect
