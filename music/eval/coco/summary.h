#pragma once
// COCO's twelve numbers.

#include <array>
#include <string>
#include <vector>

#include "music/eval/coco/evaluate.h"

namespace music::coco {

struct Metric {
  const char* name;  // "APs"
  bool precision;    // else recall
  int threshold;     // of kIouThresholds; -1: the mean over all
  std::size_t area, limit;
};
inline constexpr std::array<Metric, 12> kMetrics{{
    {"AP", true, -1, 0, 2},   {"AP50", true, 0, 0, 2},
    {"AP75", true, 5, 0, 2},  {"APs", true, -1, 1, 2},
    {"APm", true, -1, 2, 2},  {"APl", true, -1, 3, 2},
    {"AR1", false, -1, 0, 0}, {"AR10", false, -1, 0, 1},
    {"AR100", false, -1, 0, 2}, {"ARs", false, -1, 1, 2},
    {"ARm", false, -1, 2, 2}, {"ARl", false, -1, 3, 2}}};

// The means over thresholds, recalls and the categories that have ground truth;
// -1 where none has.
std::array<double, 12> summarise(const Evaluation& evaluation);

// AP of each category alone, or -1.
std::vector<double> category_precision(const Evaluation& evaluation);

// The twelve lines that pycocotools prints.
std::string summary_text(const std::array<double, 12>& numbers);

}  // namespace music::coco
