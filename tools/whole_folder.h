#pragma once
// A folder that appears as a whole: what is written goes to PLACE.part beside it,
// which takes its place at the end.

#include <filesystem>
#include <string>

namespace music {

class WholeFolder {
 public:
  // mark: a file that a folder of the same kind has. Throws kUsage where the place
  // holds something else, or the folder beside it cannot be made.
  WholeFolder(const std::filesystem::path& place, const std::string& mark);
  ~WholeFolder();  // without commit(): the place is as it was
  WholeFolder(const WholeFolder&) = delete;
  WholeFolder& operator=(const WholeFolder&) = delete;

  const std::filesystem::path& path() const { return part_; }
  void commit();

 private:
  std::filesystem::path place_, part_;
};

}  // namespace music
