#include "music/files/append_file.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace music {

AppendFile::AppendFile(std::filesystem::path path) : path_(std::move(path)) {
  open();
}

AppendFile::~AppendFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

bool AppendFile::open() {
  // Not blocking: a FIFO without a reader must not hold up the run.
  descriptor_ = ::open(path_.c_str(),
                       O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK,
                       0666);
  struct stat info {};
  if (descriptor_ < 0 || ::fstat(descriptor_, &info) != 0) {
    warn("open", errno);
    return false;
  }
  bytes_ = std::min<std::int64_t>(info.st_size, limit_);
  torn_ = bytes_ < info.st_size;
  return true;
}

bool AppendFile::append(std::string_view record) {
  if ((descriptor_ < 0 && !open()) || (torn_ && !cut())) {
    ++lost_;
    return false;
  }
  std::size_t done = 0;
  while (done < record.size()) {
    const ssize_t n =
        ::write(descriptor_, record.data() + done, record.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      const int number = n < 0 ? errno : EIO;
      ++lost_;
      if (done > 0) torn_ = true, cut();
      warn("write", number);
      return false;
    }
    done += static_cast<std::size_t>(n);
  }
  bytes_ += static_cast<std::int64_t>(record.size());
  return true;
}

void AppendFile::truncate_to(std::int64_t bytes) {
  if (descriptor_ < 0) limit_ = bytes;  // for when it opens
  if (bytes >= bytes_) return;
  bytes_ = bytes;
  torn_ = true;
  if (descriptor_ >= 0) cut();
}

bool AppendFile::cut() {
  if (::ftruncate(descriptor_, bytes_) != 0) {
    warn("truncate", errno);
    return false;
  }
  torn_ = false;
  return true;
}

void AppendFile::warn(const char* what, int number) {
  const auto now = std::chrono::steady_clock::now();
  if (warned_ && now - *warned_ < std::chrono::minutes(1)) return;
  warned_ = now;
  spdlog::warn("[log] cannot {} {}: {}; {} records lost, training goes on",
               what, path_.string(), std::strerror(number), lost_);
}

}  // namespace music
