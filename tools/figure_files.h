#pragma once
// The folder that music_figures writes: pictures and figures.json.

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "data/image.h"
#include "engine/io/file.h"

namespace music {

class FigureFiles {
 public:
  // Makes the folder. Throws where it cannot be written to, before there is
  // anything to lose.
  explicit FigureFiles(const std::filesystem::path& folder);

  void add(const std::string& name, const data::Image& image);  // "p.png"
  // All pictures appear, then figures.json; pictures of an earlier run that this
  // one has not are removed.
  void commit(const std::string& json);

  static std::string gallery_name(std::int64_t unit);  // "unit-00006.png"

 private:
  std::filesystem::path folder_;
  FileWriter json_;
  std::vector<std::pair<std::string, std::unique_ptr<FileWriter>>> pictures_;
};

}  // namespace music
