#pragma once
// Zip files whose entries are stored as they are: what torch.save and
// numpy.savez write. No compression, no zip64: 4 GiB and 65,535 entries.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/file.h"

namespace music {

// CRC-32 of IEEE 802.3, as zip has it; crc goes on from earlier bytes.
std::uint32_t crc32(std::span<const std::byte> data, std::uint32_t crc = 0);

// Writes a file whole or not at all (FileWriter's errors); more than the format
// holds is kUsage. Equal content gives equal bytes.
class ZipWriter {
 public:
  explicit ZipWriter(const std::filesystem::path& path)
      : path_(path), file_(path) {}
  // The entry is the parts one after the other; its data begins at a multiple
  // of 64 bytes.
  void add(const std::string& name,
           std::span<const std::span<const std::byte>> parts);
  void add(const std::string& name, std::span<const std::byte> data) {
    add(name, {&data, 1});
  }
  void add(const std::string& name, std::string_view text) {
    add(name, std::as_bytes(std::span(text.data(), text.size())));
  }
  FileDigest commit();  // once

 private:
  std::filesystem::path path_;
  FileWriter file_;
  std::uint64_t offset_ = 0, entries_ = 0;
  std::string directory_;
};

struct ZipEntry {
  std::string name;
  std::uint64_t size = 0, stored = 0;  // bytes, and those in the file
  std::uint32_t crc = 0;
  int method = 0;  // 0: stored as it is
  std::uint64_t header = 0;  // offset of its local header
};

// The entries by the directory at the end of the file. kData when it is no zip
// file, or one with zip64, several disks or a broken directory.
std::vector<ZipEntry> zip_entries(const FileReader& file);

// Where a stored entry's data begins. kData where the file contradicts itself.
std::uint64_t zip_data_offset(const FileReader& file, const ZipEntry& entry);

}  // namespace music
