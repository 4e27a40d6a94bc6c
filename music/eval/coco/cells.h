#pragma once
// Annotations and detections by category and image.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "music/eval/coco/results.h"

namespace music::coco {

// A category and image that has any of the two; ranges of Cells' lists.
struct Cell {
  std::int32_t category = 0, image = 0;
  std::size_t first_truth = 0, truths = 0;
  std::size_t first_detection = 0, detections = 0;
};

struct Cells {
  std::vector<Cell> cells;  // by category, then image
  // Places in the ground truth and the results. Annotations in the order of
  // the file; detections by falling score, equal ones in the order of the file.
  std::vector<std::uint32_t> truths, detections;
};

Cells group_cells(const GroundTruth& truth, const Results& results);

}  // namespace music::coco
