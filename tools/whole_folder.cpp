#include "tools/whole_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "engine/core/error.h"
#include "engine/io/file.h"

namespace music {
namespace fs = std::filesystem;
namespace {

constexpr const char* kLock = ".lock";

fs::path beside(const fs::path& place, const char* ending) {
  fs::path path = place;
  path += ending;
  return path;
}

// The folder itself: not ".", no link to it, no slash behind.
fs::path folder_itself(const fs::path& place) {
  std::error_code failure;
  const fs::path whole = fs::weakly_canonical(fs::absolute(place), failure);
  const fs::path& path = failure ? place : whole;
  return path.has_filename() ? path : path.parent_path();
}

}  // namespace

WholeFolder::WholeFolder(const fs::path& place, const std::string& mark)
    : place_(folder_itself(place)),
      part_(beside(place_, ".part")), old_(beside(place_, ".old")) {
  std::error_code failure;
  if (fs::exists(place_) &&
      (!fs::is_directory(place_) ||
       (!fs::is_empty(place_, failure) && !fs::exists(place_ / mark))))
    throw error(ExitCode::kUsage,
                "[atlas] {} is there and no atlas: expected a new folder, or an atlas "
                "to replace", place_.string());
  fs::create_directories(part_, failure);
  if (failure)
    throw error(ExitCode::kUsage, "[atlas] {} cannot be made: {}", part_.string(),
                failure.message());
  lock();
  std::vector<fs::path> left;  // of a run that was killed
  for (const auto& entry : fs::directory_iterator(part_))
    if (entry.path().filename() != kLock) left.push_back(entry.path());
  for (const fs::path& path : left) fs::remove_all(path, failure);
  if (!fs::exists(place_) && fs::exists(old_ / mark)) rename_path(old_, place_);
}

// The lock goes with the file: one that was opened and then taken away with its
// folder, by a program that ended meanwhile, holds nothing.
void WholeFolder::lock() {
  const fs::path file = part_ / kLock;
  lock_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (lock_ < 0 && errno != ENOENT)
    throw error(ExitCode::kUsage, "[atlas] {} cannot be made: {}", file.string(),
                std::strerror(errno));
  struct stat mine {}, there {};
  const bool busy =
      lock_ < 0 || (::flock(lock_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) ||
      ::fstat(lock_, &mine) != 0 || ::stat(file.c_str(), &there) != 0 ||
      mine.st_ino != there.st_ino;
  if (!busy) return;
  if (lock_ >= 0) ::close(lock_);
  throw error(ExitCode::kUsage, "[atlas] another program is writing {}: expected its "
              "end, or another --out", place_.string());
}

WholeFolder::~WholeFolder() {
  std::error_code ignored;
  if (!done_) fs::remove_all(part_, ignored);
  ::close(lock_);
}

void WholeFolder::commit() {
  std::error_code ignored;
  fs::remove_all(old_, ignored);
  const bool before = fs::exists(place_);
  if (before) rename_path(place_, old_);
  try {
    rename_path(part_, place_);
  } catch (const Error&) {
    if (before) fs::rename(old_, place_, ignored);
    throw;
  }
  done_ = true;
  fs::remove(place_ / kLock, ignored);
  fs::remove_all(old_, ignored);
}

}  // namespace music
