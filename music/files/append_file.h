#pragma once
// A log file that is only appended to, one whole record at a time, and whose
// failures never stop a run: they become a warning, at most one a minute, and
// the file keeps to whole records.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string_view>

namespace music {

class AppendFile {
 public:
  // Opens or creates; bytes() is then what the file holds.
  explicit AppendFile(std::filesystem::path path);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  // False: the record was lost. Tries to open the file again if need be.
  bool append(std::string_view record);
  // Drops everything behind `bytes`; a shorter file stays as it is.
  void truncate_to(std::int64_t bytes);
  // End of the last whole record.
  std::int64_t bytes() const { return bytes_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  bool open();
  bool cut();
  void warn(const char* what, int number);

  std::filesystem::path path_;
  int descriptor_ = -1;
  std::int64_t bytes_ = 0;
  bool torn_ = false;  // something to be cut off stands behind bytes_
  std::int64_t limit_ = std::numeric_limits<std::int64_t>::max();
  std::int64_t lost_ = 0;
  std::optional<std::chrono::steady_clock::time_point> warned_;
};

}  // namespace music
