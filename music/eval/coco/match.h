#pragma once
// Which detections of one image and category find a ground truth.

#include <cstdint>
#include <span>
#include <string>

#include "music/eval/coco/protocol.h"
#include "music/eval/coco/ground_truth.h"

namespace music::coco {

struct Truth {
  double area = 0;
  bool crowd = false;
  // False: who finds it counts as having found nothing, as pycocotools has it
  // for the id 0.
  bool counts = true;
};

// What became of a detection, bit t at iou threshold t.
struct Marks {
  std::uint16_t matched = 0, ignored = 0;
};

// COCO's greedy matching for one range of areas. areas: of the detections, the
// best score first. ious: [detections, truths]. A truth is ignored when it is a
// crowd or outside the range, and so is then what finds it; a detection that
// finds none is ignored when it is outside the range itself. Truths that are
// not ignored go first; of equal overlaps the later truth wins; a crowd takes
// any number.
void match(std::span<const double> areas, std::span<const Truth> truths,
           std::span<const double> ious, const AreaRange& range,
           std::span<Marks> marks);

// Intersection over union of boxes, in double, no pixel added to sides; of a
// crowd over the detection's area.
double box_iou(const Box& detection, const Box& truth, bool crowd);

}  // namespace music::coco
