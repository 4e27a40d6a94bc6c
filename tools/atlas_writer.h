#pragma once
// What music_atlas writes: the codes of a data set with all that is looked up in
// them, as files of one folder (docs/atlas.md).

#include <cstdint>
#include <filesystem>
#include <string>

#include "data/dataset.h"
#include "tools/code_source.h"
#include "tools/score_record.h"

namespace music {

struct AtlasSpec {
  std::int64_t neighbours = 10;  // of each image and kind; 0: none
  int thumbnail = 64;            // side; 0: no pictures and no page
  int batch = 64;
  std::string split = "train", progress = "auto", bad_images = "skip";
  std::string data;              // the path, for info.json
};

// A folder that appears as a whole: what is written goes to a folder beside it,
// and takes its place at the end.
class WholeFolder {
 public:
  // Throws kUsage where the place holds something that is no atlas, or the folder
  // beside it cannot be made.
  explicit WholeFolder(const std::filesystem::path& place);
  ~WholeFolder();  // without commit(): the place is as it was

  const std::filesystem::path& path() const { return part_; }
  void commit();

 private:
  std::filesystem::path place_, part_;
};

// Returns info.json.
Json write_atlas(const std::filesystem::path& folder, const AtlasSpec& spec,
                 const data::Dataset& dataset, const OpenedEncoder& encoder,
                 const OpenedHead& head, const CodeRule& rule, Json info);

}  // namespace music
