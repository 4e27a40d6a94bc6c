#pragma once
// What music_atlas writes: the codes of a data set with all that is looked up in
// them, as files of one folder (docs/atlas.md).

#include <cstdint>
#include <filesystem>
#include <string>

#include "data/dataset.h"
#include "tools/atlas_attributes.h"
#include "tools/code_source.h"
#include "tools/score_record.h"

namespace music {

struct AtlasSpec {
  std::int64_t neighbours = 10;  // of each image and kind; 0: none
  int thumbnail = 64;            // side; 0: no pictures and no page
  int batch = 64;
  std::string split = "train", progress = "auto", bad_images = "skip";
};

// Returns info.json.
Json write_atlas(const std::filesystem::path& folder, const AtlasSpec& spec,
                 const data::Dataset& dataset, const OpenedEncoder& encoder,
                 const OpenedHead& head, const CodeRule& rule,
                 const AtlasAttributes& attributes, Json info);

}  // namespace music
