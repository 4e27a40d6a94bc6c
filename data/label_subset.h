#pragma once
// A few of a data set's labels, as semi-supervised protocols learn from.

#include <cstdint>
#include <memory>
#include <string>

#include "data/dataset.h"

namespace music::data {

// What data.labels and --labels say.
struct LabelChoice {
  enum class Kind { kShare, kPerClass, kList };
  Kind kind = Kind::kList;
  double share = 0;            // of all images, in (0, 1]
  std::int64_t per_class = 0;  // images of each class, at least 1
  std::string list;            // path of a list
};

// "1%", "10-per-class", or else the path of a list. Throws kUsage for a share or
// a number that is none.
LabelChoice parse_label_choice(const std::string& text);

// The chosen images, in their original order.
//
// A share or a number is drawn by seed, the same number of each class: of a
// share that does not divide, some classes, drawn too, have one more; a class
// that has fewer images gives all it has and the others make up for it; a share
// below one image a class is raised to that. Of the same seed a larger choice
// contains a smaller one.
//
// A list has the name of one image a line (SimCLR's files as they are):
// "n01440764_10183.JPEG", or as many folders before it as tell it from others,
// "n01440764/10183.JPEG", "data_batch_1.bin:17"; a byte order mark is skipped.
// Where what stands before the first "_" is the name of a class, the image must be
// of that class.
//
// Throws kUsage for a share of no image, and kData, in one line, for data
// without labels, a class without images in the data or in a list or with fewer
// than the number asked for, and names that are not in the data (with their
// count), that stand there twice or that several images have.
std::unique_ptr<Dataset> label_subset(std::unique_ptr<Dataset> dataset,
                                      const LabelChoice& choice,
                                      std::uint64_t seed);

// "12811 of 1281167 images, 12 to 13 of each of 1000 classes": of a subset and
// the number of images it was chosen from.
std::string describe_labels(const Dataset& chosen, std::int64_t from);

}  // namespace music::data
