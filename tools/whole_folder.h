#pragma once
// A folder that appears as a whole: what is written goes to PLACE.part beside it,
// which takes its place at the end.

#include <filesystem>
#include <string>

namespace music {

class WholeFolder {
 public:
  // mark: a file that a folder of the same kind has. Throws kUsage where the place
  // holds something else, another program is writing it, or the folder beside it
  // cannot be made.
  WholeFolder(const std::filesystem::path& place, const std::string& mark);
  ~WholeFolder();  // without commit(): the place is as it was
  WholeFolder(const WholeFolder&) = delete;
  WholeFolder& operator=(const WholeFolder&) = delete;

  const std::filesystem::path& path() const { return part_; }
  void commit();

 private:
  void lock();

  std::filesystem::path place_, part_, old_;
  int lock_ = -1;  // of PLACE.part/.lock, held while it is written
  bool done_ = false;
};

}  // namespace music
