#pragma once
// PASCAL VOC's image classification task as it lies on disk:
//   VOC2007/JPEGImages/000005.jpg
//   VOC2007/ImageSets/Main/aeroplane_trainval.txt, aeroplane_test.txt, ...
// A line of a list is an image and 1 (there is one), -1 (there is none) or 0
// (there are difficult ones only).

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace music {

struct VocSet {
  std::unique_ptr<data::Dataset> images;  // without labels of their own
  // [class][image]: 1, -1, or 0 for difficult.
  std::vector<std::vector<std::int8_t>> targets;
};

struct VocData {
  std::string root;  // the folder with JPEGImages
  std::vector<std::string> classes;  // sorted
  VocSet train, test;
};

// Whether a path looks like a VOC folder, or one that holds VOC folders.
bool looks_like_voc(const std::string& path);

// path: a VOC2007, or the VOCdevkit that holds exactly one such folder, or a
// folder that holds that VOCdevkit. Throws kData in one line, naming file and
// line: a list that is missing or malformed, lists that are not of the same
// images, an image that is not there or is in both sets, a class without an
// image that shows it (train) or with which it can be scored (test).
VocData open_voc(const std::string& path, const std::string& train_set,
                 const std::string& test_set);

}  // namespace music
