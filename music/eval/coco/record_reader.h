#pragma once
// Objects of COCO's JSON files, one at a time as they pass: the file is never
// held as a whole. Ground truth is an object with the lists "images",
// "categories" and "annotations", results are one list.
//
// Errors (kData) are one line that names file and object:
//   [coco] gt.json: annotations[7]: "bbox" has 3 numbers, expected 4
// Unknown keys are passed over; of a key that comes twice the later counts.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/file.h"

namespace music::coco {

// A mask as the file gives it.
struct Segmentation {
  enum class Form { kNone, kPolygons, kText, kCounts };

  Form form = Form::kNone;
  std::vector<double> points;     // of all polygons: x, y, x, y, ...
  std::vector<std::size_t> ends;  // of each in `points`
  std::string text;               // "counts" of a string
  std::vector<double> counts;     // "counts" of a list
  std::vector<double> size;       // height, width; not of polygons
};

enum class Key {
  kId, kImageId, kCategoryId, kWidth, kHeight, kCrowd, kArea, kScore, kBox,
  kSegmentation, kName, kUnknown
};

struct Record {
  std::size_t index = 0;  // in its list
  std::uint32_t present = 0;
  std::int64_t id = 0, image_id = 0, category_id = 0, width = 0, height = 0;
  std::int64_t crowd = 0;
  double area = 0, score = 0;
  std::vector<double> box;
  Segmentation segmentation;
  std::string name;

  bool has(Key key) const {
    return (present >> static_cast<int>(key) & 1) != 0;
  }
};

enum class List { kImages, kCategories, kAnnotations, kResults };

// "annotations[7]", of results "record 7".
std::string place_of(List list, std::size_t index);

// The key as the file has it.
std::string_view name_of(Key key);

// Calls on_record for each; a Record is the callee's to move from. Numbers are
// finite, ids are integers. A list that a ground truth lacks is an error.
// masks: false passes "segmentation" over.
FileDigest read_ground_truth(const std::filesystem::path& path, bool masks,
                             const std::function<void(List, Record&)>& on_record);
FileDigest read_results(const std::filesystem::path& path,
                        const std::function<void(Record&)>& on_record);

}  // namespace music::coco
