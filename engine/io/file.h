#pragma once
// Files that are whole or absent: a FileWriter fills a temporary file beside
// its target, and commit() makes it durable and visible in one rename. Every
// POSIX call is retried on EINTR and on short counts.
//
// Errors: a device that cannot hold the data (ENOSPC, EDQUOT, EIO, EFBIG) is
// ExitCode::kDiskFull, another failure to write kUsage, to read kData; storage
// that is away kUnavailable, which reads wait for first (outage.h).

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/core/buffer.h"

namespace music {

// What a file holds; xxh3_128 is 32 lower-case hex digits. The hash finds
// damage, it is not a signature.
struct FileDigest {
  std::uint64_t bytes = 0;
  std::string xxh3_128;
  bool operator==(const FileDigest&) const = default;
};

class Xxh3 {
 public:
  Xxh3();
  void update(std::span<const std::byte> data);
  FileDigest digest() const;

 private:
  struct Free { void operator()(void* state) const; };
  std::unique_ptr<void, Free> state_;
  std::uint64_t bytes_ = 0;
};

class FileWriter {
 public:
  explicit FileWriter(std::filesystem::path path);
  ~FileWriter();  // without commit(): removes the temporary, target untouched
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;

  void write(std::span<const std::byte> data);
  void write(std::string_view text) {
    write(std::as_bytes(std::span(text.data(), text.size())));
  }
  // Replaces bytes that were written. commit() then knows no hash.
  void rewrite(std::uint64_t offset, std::span<const std::byte> data);
  // fsync, rename onto the target, fsync its directory. Call once.
  FileDigest commit();

 private:
  std::filesystem::path path_, temporary_;
  int descriptor_ = -1;
  bool rewritten_ = false;
  Xxh3 hash_;
};

// Reads a regular file at offsets. Never blocks on a FIFO or a device.
class FileReader {
 public:
  explicit FileReader(std::filesystem::path path);
  ~FileReader();
  FileReader(const FileReader&) = delete;
  FileReader& operator=(const FileReader&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::uint64_t size() const { return size_; }
  // Fills `out` from `offset`; an end of file before that is an error.
  void read(std::uint64_t offset, std::span<std::byte> out) const;

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

// The whole of a regular file into `bytes`, whose capacity is kept: nothing is
// allocated where it suffices. More than `limit` bytes is an error.
void read_file(const std::string& path, std::uint64_t limit,
               std::vector<std::uint8_t>& bytes);

// Renames `from` to `to`; both in the same file system.
void rename_path(const std::filesystem::path& from,
                 const std::filesystem::path& to);

// Makes the entries of a directory durable.
void sync_directory(const std::filesystem::path& path);

// Makes a directory and those above it that are missing; they outlive a loss of
// power as what is committed in them does.
void create_durably(const std::filesystem::path& path);

// The error for a failed write of `path` with this errno, by the rule above.
[[noreturn]] void throw_write_error(const std::filesystem::path& path,
                                    int number);

}  // namespace music
