#pragma once
// Detections to be scored: a COCO results.json.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "music/eval/coco/ground_truth.h"

namespace music::coco {

struct Detection {
  std::int32_t image = 0, category = 0;  // places in the ground truth's lists
  double score = 0;
  double area = 0;
  Box box{};
};

struct Results {
  std::vector<Detection> detections;  // in the order of the file
  std::vector<std::string> masks;  // theirs, as text; empty where boxes count
  // Masks that came with a box: pycocotools takes their area from it.
  bool boxes_beside_masks = false;
  FileDigest file;
};

struct ResultsSpec {
  IouType type = IouType::kBox;
  // The area of a mask that has a box beside it is that of the box.
  bool area_of_box = false;
};

// A detection has image_id, category_id, score and "bbox" or "segmentation";
// for boxes, one without "bbox" has that of its mask, for masks
// "segmentation" is required. An image or category that the ground truth has
// not is an error (kData) that names the record, as is all that is malformed.
Results load_results(const std::filesystem::path& path,
                     const GroundTruth& truth, const ResultsSpec& spec);

}  // namespace music::coco
