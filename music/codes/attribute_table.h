#pragma once
// Attributes of images: a CSV table with a header and a column of file names, as
// music_attributes writes it, and the classes of a data set.
//
// docs/attributes.md tells users these rules:
//  - The column of names is called file, filename, path, image, name or the like.
//  - A row is that of the image whose path ends as the row's does, in whole parts
//    ("train/red/1.jpg"), or the other way round; of several, the longest such end.
//  - Empty fields, NA, N/A, NaN and null say nothing of that image.
//  - A column of numbers with more than ten different ones is cut at its quintiles.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/dataset.h"
#include "music/codes/attribute_analysis.h"

namespace music {

struct AttributeTable {
  std::vector<Attribute> attributes;
  std::vector<std::string> notes;  // what was left out and why, one line each
};

// files: Dataset::name of each image that has a code, in the order of the codes.
// Throws kData, in one line, for text that is no such table, a row that two images
// or an image that two rows could be of, and a table of none of these images.
AttributeTable parse_attribute_table(std::string_view csv, const std::string& name,
                                     std::span<const std::string> files);
AttributeTable read_attribute_table(const std::string& path,
                                    std::span<const std::string> files);

// The classes of a data set as an attribute called "class"; labels: of each image
// that has a code, -1: none. A note and no attribute where there are no two classes.
AttributeTable class_attribute(std::span<const int> labels,
                               const std::vector<std::string>& classes);

}  // namespace music
