#pragma once
// Features of a data set as files of one folder, row by row the same image:
//   features.npy      f32 [n, d]: pooled, res5 or embedding
//   codes.npy         u8 or u16 [n, S], codes_packed.npy u8 [n, bytes]: codes
//   labels.npy        i64 [n], -1: none
//   files.txt         n names
//   images.npy        u8 [n, size, size, 3], where asked for
//   left_out.txt      names and reasons of images that could not be read
//   info.json         what all that is

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/io/npy.h"
#include "music/eval/codes.h"
#include "music/eval/features.h"

namespace music {

struct FeatureFilesSpec {
  std::int64_t width = 0;            // of a feature
  std::optional<Segments> segments;  // codes in place of features
  int pixels = 0;                    // side of the images; 0: not written
};

class FeatureFiles {
 public:
  // Nothing is visible in the folder, which is made, before commit().
  FeatureFiles(const std::filesystem::path& folder, const FeatureFilesSpec& spec);

  // Throws kData for a name of more than one line.
  void add(const FeatureRows& rows, const data::Dataset& dataset);
  void leave_out(const data::BadSample& image);
  // Adds the rows of a folder that was committed; it is removed.
  void append(const std::filesystem::path& part);
  // All files appear; those of the list above that this time has not are
  // removed. info: the text of info.json. Returns the number of rows.
  std::int64_t commit(const std::string& info);

 private:
  template <typename T>
  NpyWriter& open(const char* name, std::vector<std::int64_t> row);

  std::filesystem::path folder_;
  FeatureFilesSpec spec_;
  std::optional<CodePacking> packing_;
  struct Array {
    std::string name;
    std::unique_ptr<NpyWriter> writer;
  };
  std::vector<Array> arrays_;
  NpyWriter *features_ = nullptr, *codes_ = nullptr, *packed_ = nullptr,
            *labels_ = nullptr, *images_ = nullptr;
  FileWriter names_;
  std::string left_out_;
  std::int64_t rows_ = 0;
};

}  // namespace music
