#include "engine/io/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>
#include <utility>

#include "engine/core/error.h"
#include "engine/io/outage.h"

namespace music {
namespace fs = std::filesystem;
namespace {

// Linux moves at most about 2 GiB a call; a smaller piece also lets signals in.
constexpr std::size_t kPiece = std::size_t{64} << 20;

[[noreturn]] void throw_read_error(const fs::path& path, int number) {
  throw error(ExitCode::kData, "[io] cannot read {}: {}", path.string(),
              std::strerror(number));
}

fs::path directory_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

template <typename Call>
auto retry(Call call) {
  decltype(call()) result;
  do {
    result = call();
  } while (result == -1 && errno == EINTR);
  return result;
}

int open_to_read(const char* path) {
  return retry([&] { return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); });
}

// A descriptor of a regular file, and its size. Never blocks on a FIFO or a
// device.
int open_regular(const char* path, std::uint64_t& size, bool image) {
  int descriptor;
  {
    Attempts attempts(path, image);
    while ((descriptor = open_to_read(path)) < 0)
      if (const int number = errno; !attempts.again(number))
        throw_read_error(path, number);
    attempts.succeeded();
  }
  struct stat status;
  const int result = fstat(descriptor, &status);
  const int number = errno;
  if (result == 0 && S_ISREG(status.st_mode)) {
    size = static_cast<std::uint64_t>(status.st_size);
    return descriptor;
  }
  close(descriptor);
  if (result != 0) throw_read_error(path, number);
  throw error(ExitCode::kData, "[io] {} is not a regular file", path);
}

// Fills `out` from `offset`. What a descriptor was opened as may have become
// stale: after an error it is opened anew under the same number.
void read_at(int descriptor, const char* path, std::uint64_t offset,
             std::span<std::byte> out, bool image) {
  Attempts attempts(path, image);
  while (!out.empty()) {
    const ssize_t n = retry([&] {
      return pread(descriptor, out.data(), std::min(out.size(), kPiece),
                   static_cast<off_t>(offset));
    });
    if (n < 0) {
      if (const int number = errno; !attempts.again(number))
        throw_read_error(path, number);
      const int fresh = open_to_read(path);
      if (fresh < 0) continue;
      dup3(fresh, descriptor, O_CLOEXEC);
      close(fresh);
      continue;
    }
    if (n == 0)
      throw error(ExitCode::kData, "[io] {} ends at byte {}, {} more expected",
                  path, offset, out.size());
    offset += static_cast<std::uint64_t>(n);
    out = out.subspan(static_cast<std::size_t>(n));
  }
  attempts.succeeded();
}

}  // namespace

void throw_write_error(const fs::path& path, int number) {
  const bool device = number == ENOSPC || number == EDQUOT || number == EIO ||
                      number == EFBIG;
  throw StorageError(device             ? ExitCode::kDiskFull
                     : may_pass(number) ? ExitCode::kUnavailable
                                        : ExitCode::kUsage,
                     fmt::format("[io] cannot write {}: {}", path.string(),
                                 std::strerror(number)),
                     number);
}

Xxh3::Xxh3() : state_(XXH3_createState()) {
  if (!state_) throw std::bad_alloc();
  XXH3_128bits_reset(static_cast<XXH3_state_t*>(state_.get()));
}

void Xxh3::Free::operator()(void* state) const {
  XXH3_freeState(static_cast<XXH3_state_t*>(state));
}

void Xxh3::update(std::span<const std::byte> data) {
  XXH3_128bits_update(static_cast<XXH3_state_t*>(state_.get()), data.data(),
                      data.size());
  bytes_ += data.size();
}

FileDigest Xxh3::digest() const {
  const XXH128_hash_t hash =
      XXH3_128bits_digest(static_cast<XXH3_state_t*>(state_.get()));
  return {bytes_, fmt::format("{:016x}{:016x}", hash.high64, hash.low64)};
}

FileWriter::FileWriter(fs::path path) : path_(std::move(path)) {
  temporary_ = directory_of(path_) /
               fmt::format(".{}.tmp-{}", path_.filename().string(), getpid());
  descriptor_ = retry([&] {
    return open(temporary_.c_str(),
                O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
  });
  if (descriptor_ < 0) throw_write_error(path_, errno);
}

FileWriter::~FileWriter() {
  if (descriptor_ >= 0) close(descriptor_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

void FileWriter::write(std::span<const std::byte> data) {
  hash_.update(data);
  while (!data.empty()) {
    const ssize_t n = retry([&] {
      return ::write(descriptor_, data.data(), std::min(data.size(), kPiece));
    });
    if (n < 0) throw_write_error(path_, errno);
    if (n == 0) throw_write_error(path_, EIO);
    data = data.subspan(static_cast<std::size_t>(n));
  }
}

void FileWriter::rewrite(std::uint64_t offset,
                         std::span<const std::byte> data) {
  MUSIC_CHECK(offset + data.size() <= hash_.digest().bytes,
              "[io] {} bytes at {} of {} are not there to rewrite", data.size(),
              offset, path_.string());
  rewritten_ = true;
  while (!data.empty()) {
    const ssize_t n = retry([&] {
      return ::pwrite(descriptor_, data.data(), data.size(),
                      static_cast<off_t>(offset));
    });
    if (n < 0) throw_write_error(path_, errno);
    if (n == 0) throw_write_error(path_, EIO);
    offset += static_cast<std::uint64_t>(n);
    data = data.subspan(static_cast<std::size_t>(n));
  }
}

FileDigest FileWriter::commit() {
  if (retry([&] { return fsync(descriptor_); }) != 0)
    throw_write_error(path_, errno);
  // Network file systems report a full disk as late as here. Linux has freed
  // the descriptor whatever close() says.
  if (close(std::exchange(descriptor_, -1)) != 0 && errno != EINTR)
    throw_write_error(path_, errno);
  rename_path(temporary_, path_);
  temporary_.clear();
  sync_directory(directory_of(path_));
  FileDigest digest = hash_.digest();
  if (rewritten_) digest.xxh3_128.clear();
  return digest;
}

FileReader::FileReader(fs::path path) : path_(std::move(path)) {
  descriptor_ = open_regular(path_.c_str(), size_, false);
}

FileReader::~FileReader() { close(descriptor_); }

void FileReader::read(std::uint64_t offset, std::span<std::byte> out) const {
  read_at(descriptor_, path_.c_str(), offset, out, false);
}

void read_file(const std::string& path, std::uint64_t limit,
               std::vector<std::uint8_t>& bytes) {
  struct Descriptor {
    int value;
    ~Descriptor() { close(value); }
  };
  std::uint64_t size = 0;
  const Descriptor file{open_regular(path.c_str(), size, true)};
  if (size > limit)
    throw error(ExitCode::kData, "[io] {} is {} bytes, limit {}", path, size,
                limit);
  bytes.resize(size);
  read_at(file.value, path.c_str(), 0, std::as_writable_bytes(std::span(bytes)),
          true);
  note_image_read(path.c_str());
}

void rename_path(const fs::path& from, const fs::path& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0) throw_write_error(to, errno);
}

void create_durably(const fs::path& path) {
  std::vector<fs::path> changed;  // directories that get a new entry
  std::error_code failure;
  for (fs::path p = path; !p.empty() && !fs::exists(p, failure);
       p = directory_of(p)) {
    changed.push_back(directory_of(p));
    if (p == directory_of(p)) break;
  }
  fs::create_directories(path, failure);
  if (failure) throw_write_error(path, failure.value());
  for (const fs::path& p : changed) sync_directory(p);
}

void sync_directory(const fs::path& path) {
  const int descriptor = retry(
      [&] { return open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (descriptor < 0) throw_write_error(path, errno);
  const int result = retry([&] { return fsync(descriptor); });
  const int number = errno;
  close(descriptor);
  // Some file systems keep directories durable by themselves and say EINVAL.
  if (result != 0 && number != EINVAL) throw_write_error(path, number);
}

}  // namespace music
