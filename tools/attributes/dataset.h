#pragma once
// Writes a set of labelled attribute images:
//   OUT/{train,test}/<label>/img_000000.jpg   class folders
//   OUT/attributes.csv   file, split, every named factor, continuous values
//   OUT/README.txt       one line a factor

#include <cstdint>
#include <filesystem>

#include "tools/attributes/factors.h"

namespace music {

struct AttributeDataSpec {
  std::filesystem::path out;
  std::uint32_t train = 4000, test = 1000;  // images
  int size = 64;                            // pixels a side
  std::uint64_t seed = 0;
  int quality = 92;                         // of the JPEG files
  Factor label = Factor::kShape;            // names the class folders
};

// All or nothing: works in OUT.partial (left by an interrupted run: replaced)
// and renames it to OUT at the end. The files do not depend on `threads`.
// Throws kUsage when OUT exists and is not an empty folder, kData or kDiskFull
// when it cannot be written.
void write_attribute_data(const AttributeDataSpec& spec, int threads);

}  // namespace music
