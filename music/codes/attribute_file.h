#pragma once
// attributes.json: an analysis as a file; its format is in docs/attributes.md.

#include <filesystem>
#include <string>
#include <string_view>

#include "music/codes/attribute_analysis.h"

namespace music {

std::string to_json(const AttributeAnalysis& analysis);
// Throws kData, in one line, for text that to_json did not write.
AttributeAnalysis attributes_from_json(std::string_view json,
                                       const std::string& name);

// Whole or absent; errors of FileWriter.
void write_attributes(const AttributeAnalysis& analysis,
                      const std::filesystem::path& path);
AttributeAnalysis read_attributes(const std::filesystem::path& path);

}  // namespace music
