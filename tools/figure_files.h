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

// A folder that is made, with those above it; without keep() what was made goes
// again where it is empty.
class MadeFolder {
 public:
  explicit MadeFolder(const std::filesystem::path& folder);
  ~MadeFolder();
  MadeFolder(const MadeFolder&) = delete;
  MadeFolder& operator=(const MadeFolder&) = delete;

  const std::filesystem::path& path() const { return folder_; }
  void keep() { made_.clear(); }

 private:
  std::filesystem::path folder_;
  std::vector<std::filesystem::path> made_;  // the deepest first
};

class FigureFiles {
 public:
  // Makes the folder. Throws where it cannot be written to, before there is
  // anything to lose. Without commit() all is as it was.
  explicit FigureFiles(const std::filesystem::path& folder);

  void add(const std::string& name, const data::Image& image);  // "p.png"
  // All pictures appear, then figures.json; pictures of an earlier run that this
  // one has not are removed.
  void commit(const std::string& json);

  static std::string gallery_name(std::int64_t unit);  // "unit-00006.png"

 private:
  MadeFolder folder_;  // outlives the files
  FileWriter json_;
  std::vector<std::pair<std::string, std::unique_ptr<FileWriter>>> pictures_;
};

}  // namespace music
