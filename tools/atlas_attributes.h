#pragma once
// What is known of the images of an atlas beside their codes: classes, a table.

#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "music/codes/attribute_table.h"
#include "music/codes/code_index.h"
#include "tools/cli.h"

namespace music {

struct AttributeOptions {
  std::string table;
  std::int64_t permutations = 1000;
  double level = 0.01;
  std::uint64_t seed = 0;

  void add_to(CLI::App& app);
};

class AtlasAttributes {
 public:
  // Reads the table at once. Throws as parse_attribute_table().
  AtlasAttributes(const AttributeOptions& options, const data::Dataset& dataset);

  // Of codes of the images of these numbers, ascending. Nothing where nothing is
  // known of the images, or too little, which is logged; an error with a table.
  std::optional<AttributeAnalysis> analyse(
      const CodeIndex& codes, const std::vector<std::int64_t>& samples,
      const std::function<void(double)>& done) const;

 private:
  AttributeOptions options_;
  AttributeTable known_;  // of all images of the data set
};

}  // namespace music
