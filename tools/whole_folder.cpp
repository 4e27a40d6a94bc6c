#include "tools/whole_folder.h"

#include "engine/core/error.h"
#include "engine/io/file.h"

namespace music {
namespace fs = std::filesystem;
namespace {

fs::path beside(const fs::path& place, const char* ending) {
  fs::path path = place;
  path += ending;
  return path;
}

}  // namespace

WholeFolder::WholeFolder(const fs::path& place, const std::string& mark)
    : place_(place.has_filename() ? place : place.parent_path()) {
  std::error_code failure;
  if (fs::exists(place_) &&
      (!fs::is_directory(place_) ||
       (!fs::is_empty(place_, failure) && !fs::exists(place_ / mark))))
    throw error(ExitCode::kUsage,
                "[atlas] {} is there and no atlas: expected a new folder, or an atlas "
                "to replace", place_.string());
  part_ = beside(place_, ".part");
  fs::remove_all(part_, failure);  // of a run that was killed
  fs::create_directories(part_, failure);
  if (failure)
    throw error(ExitCode::kUsage, "[atlas] {} cannot be made: {}", part_.string(),
                failure.message());
}

WholeFolder::~WholeFolder() {
  std::error_code ignored;
  if (!part_.empty()) fs::remove_all(part_, ignored);
}

void WholeFolder::commit() {
  const fs::path old = beside(place_, ".old");
  std::error_code ignored;
  fs::remove_all(old, ignored);
  if (fs::exists(place_)) rename_path(place_, old);
  rename_path(part_, place_);
  part_.clear();
  fs::remove_all(old, ignored);
}

}  // namespace music
