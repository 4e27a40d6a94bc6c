#pragma once
// What detections are scored against: a COCO instances.json.

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/io/file.h"

namespace music::coco {

// What is compared: boxes or masks.
enum class IouType { kBox, kMask };

// x, y, width, height.
using Box = std::array<double, 4>;

struct Image {
  std::int64_t id = 0;
  std::uint32_t height = 0, width = 0;  // 0 where the file does not say
};

struct Category {
  std::int64_t id = 0;
  std::string name;
};

struct Annotation {
  std::int64_t id = 0;
  std::int32_t image = 0, category = 0;  // places in the lists below
  double area = 0;  // as the file says: of the mask, also where boxes count
  Box box{};
  bool crowd = false;
};

struct GroundTruth {
  std::vector<Image> images;          // ascending ids
  std::vector<Category> categories;   // likewise
  std::vector<Annotation> annotations;  // in the order of the file
  std::vector<std::string> masks;  // theirs, as text; empty where boxes count
  FileDigest file;

  // Places of ids; -1: none.
  std::int32_t image(std::int64_t id) const;
  std::int32_t category(std::int64_t id) const;
};

// Of annotations id, image_id, category_id, area, iscrowd and "bbox" (boxes)
// or "segmentation" (masks; images need height and width then) are required.
// What is missing, ids that come twice, images and categories that are not
// listed, and masks that are none, are errors (kData) that name the record.
GroundTruth load_ground_truth(const std::filesystem::path& path, IouType type);

}  // namespace music::coco
