#pragma once
// The paper's pictures of codes (Fig. 2, C.3, C.4) and two of ours, from what
// music/codes has counted. Captions say what is drawn and its range.

#include <cstdint>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "music/codes/code_statistics.h"
#include "music/codes/view_statistics.h"

namespace music {

struct CodePicture {
  data::Image image;
  std::string caption;
};

// views: how the two were made, for captions: "two augmented views".
CodePicture joint_picture(const ViewStatistics& statistics,
                          const std::string& views);

// Redundancy of each pair of segments.
CodePicture information_picture(const CodeStatistics& statistics);

// Mean q of each unit, a segment a row.
CodePicture usage_picture(const CodeStatistics& statistics);

// Images that the pictures of embeddings show.
struct ShownViews {
  std::int64_t n = 0;
  int size = 0;
  std::vector<std::uint8_t> pixels[2];  // [n, size, size, 3] of each view
  std::vector<float> embeddings[2];     // [n, units]
};
// Each image's two views and, beside them, the first 800 units of both codes.
CodePicture embedding_picture(const ShownViews& shown, const Segments& segments,
                              double temperature, const std::string& views);

// The images, the surest first; reads them.
data::Image gallery(const data::Dataset& dataset,
                    const std::vector<SurestImage>& images);

// The paper's units (6, 8, 24, 25 and 88, 124, 134, 138) where the first two
// segments have them; else nothing.
std::vector<std::int64_t> paper_units(const Segments& segments);

// Of `units`, which statistics keep the images of, the four with the surest
// images in each of the first two segments: by the mean q of the kept ones.
std::vector<std::int64_t> surest_units(const CodeStatistics& statistics,
                                       const std::vector<std::int64_t>& units);

}  // namespace music
