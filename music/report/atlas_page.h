#pragma once
// The page of an atlas: index.html, which opens from disk, and the files of data
// beside it (page/*.js: scripts, because a page from disk may not fetch). Pictures
// are those of music/report/sprites.h: sheets/*.jpg of all images and units/*.jpg,
// one a segment, of each unit's exemplars.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "music/codes/code_index.h"
#include "music/codes/unit_table.h"

namespace music {

struct AtlasPage {
  static constexpr std::int64_t kExemplars = 8;  // of a unit
  static constexpr std::int64_t kChunk = 1024;   // images of a file of neighbours

  std::string title, about;  // text of any origin
  int tile = 0;              // side of a thumbnail
  std::vector<std::string> classes;
  std::function<std::string(std::int64_t)> name;  // of an image
  std::span<const std::int64_t> labels;           // [n], -1: none
  std::span<const std::uint8_t> confidences;      // [n, S]
  std::span<const std::uint8_t> colours;          // [n, 3]
  std::int64_t k = 0;                             // neighbours, 0: none
  std::span<const std::int32_t> neighbours;       // [3, n, k]
  std::span<const float> neighbour_scores;        // [3, n, k]
  // HTML of a section of the id "attributes", and its style sheet; may be empty.
  std::string attributes, attribute_styles;
};

// Writes index.html and page/ into the folder.
void write_atlas_page(const std::filesystem::path& folder, const AtlasPage& page,
                      const CodeIndex& codes, const UnitTable& units);

// Where exemplar e of a unit stands on its segment's sheet, in tiles.
struct ExemplarPlace {
  std::int64_t column, row;
};
ExemplarPlace exemplar_place(std::int64_t unit, std::int64_t e);
// Columns and rows of the sheet of a segment.
ExemplarPlace exemplar_sheet(std::int64_t units);

extern const std::string_view kAtlasStyle, kAtlasData, kAtlasViews, kAtlasPage;

}  // namespace music
