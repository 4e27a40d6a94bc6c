#pragma once
// Plain tar archives (v7, ustar, GNU, pax; no compression): where their files
// lie, and writing new ones.
//
// libarchive parses and writes all headers. It does not say at which byte a
// member's contents begin, which random access needs; scan_tar feeds it in
// blocks of 512 bytes, so that this is where it stopped reading, and verifies
// that against the place where the next header begins.

#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "engine/io/file.h"

struct archive;

namespace music::data {

struct TarMember {
  std::string name;  // untrusted: a key, never a path to open
  std::uint64_t offset = 0, bytes = 0;  // of its contents in the archive
};

// Calls visit for every regular file, in order; links, folders and devices are
// passed over. Reads headers only. Throws Error kData when the file is no plain
// tar archive, damaged or cut short.
void scan_tar(const FileReader& file,
              const std::function<void(const TarMember&)>& visit);

// Writes an archive whole or not at all. Times and owners are 0, so equal
// members give equal bytes. Errors as FileWriter.
class TarWriter {
 public:
  explicit TarWriter(const std::filesystem::path& path);
  ~TarWriter();  // without commit(): no file
  TarWriter(const TarWriter&) = delete;
  TarWriter& operator=(const TarWriter&) = delete;

  // Returns the offset of the contents in the archive.
  std::uint64_t add(const std::string& name, std::span<const std::byte> bytes);
  std::uint64_t size() const { return written_; }  // so far
  FileDigest commit();

 private:
  void check(int result);

  FileWriter file_;
  archive* archive_ = nullptr;
  std::uint64_t written_ = 0;
  std::exception_ptr failure_;
  bool abandoned_ = false;  // what is still written goes nowhere
};

}  // namespace music::data
