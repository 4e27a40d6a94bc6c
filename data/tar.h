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
  // A link, hard or symbolic, has no bytes of its own; those of a sparse file
  // do not lie in one piece.
  enum class Kind { kFile, kLink, kSparse };
  std::string name;  // untrusted: a key, never a path to open
  std::uint64_t offset = 0, bytes = 0;  // of a file's contents in the archive
  Kind kind = Kind::kFile;
};

struct TarEnd {
  bool marked = false;     // by a block of zeros; one cut short is not
  std::uint64_t rest = 0;  // bytes after it that are no archive
};

// Calls visit for every file and link, in order; folders and devices are passed
// over. Archives joined end to end are read as one. Reads headers only. An empty
// file has no members. Throws Error kData when the file is no plain tar archive,
// damaged or cut short.
TarEnd scan_tar(const FileReader& file,
                const std::function<void(const TarMember&)>& visit);

// Writes an archive whole or not at all, in the ustar format without extended
// headers, which not every reader follows (DALI 2.4 without an index). Times and
// owners are 0, so equal members give equal bytes. Errors as FileWriter.
class TarWriter {
 public:
  explicit TarWriter(const std::filesystem::path& path);
  ~TarWriter();  // without commit(): no file
  TarWriter(const TarWriter&) = delete;
  TarWriter& operator=(const TarWriter&) = delete;

  // Bytes of a name before its last slash, and after it.
  static constexpr std::size_t kMostFolder = 155, kMostName = 100;
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
