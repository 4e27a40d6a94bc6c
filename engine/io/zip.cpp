#include "engine/io/zip.h"

#include <algorithm>
#include <array>
#include <limits>

#include "engine/core/error.h"
#include "engine/core/text.h"
#include "engine/io/little_endian.h"

namespace music {
namespace {

// APPNOTE.TXT 4.3: signatures, and the length of each record without names.
constexpr std::uint32_t kLocal = 0x04034b50, kCentral = 0x02014b50,
                        kEnd = 0x06054b50;
constexpr std::size_t kLocalSize = 30, kCentralSize = 46, kEndSize = 22;
constexpr std::uint64_t kMostBytes = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint64_t kMostEntries = 65'535, kMostName = 4096;
constexpr std::uint64_t kMostDirectory = 64 << 20;
constexpr std::size_t kAlignment = 64;
constexpr std::uint16_t kPadding = 0x4246;  // extra field, as torch.save's
constexpr std::uint16_t kUtf8 = 1 << 11;

// From "version needed" to the lengths of name and extra field: what the local
// header and the directory share. The date is 1 January 1980.
std::string shared_fields(std::uint32_t crc, std::uint32_t size,
                          std::size_t name, std::size_t extra) {
  std::string out;
  append_number<std::uint16_t>(out, 20);
  append_number<std::uint16_t>(out, kUtf8);
  append_number<std::uint16_t>(out, 0);  // stored
  append_number<std::uint16_t>(out, 0);
  append_number<std::uint16_t>(out, 0x0021);
  append_number(out, crc);
  append_number(out, size);
  append_number(out, size);
  append_number(out, static_cast<std::uint16_t>(name));
  append_number(out, static_cast<std::uint16_t>(extra));
  return out;
}

constexpr auto kCrcTable = [] {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t c = i;
    for (int k = 0; k < 8; ++k) c = c & 1 ? 0xEDB88320u ^ (c >> 1) : c >> 1;
    table[i] = c;
  }
  return table;
}();

}  // namespace

std::uint32_t crc32(std::span<const std::byte> data, std::uint32_t crc) {
  crc = ~crc;
  for (const std::byte b : data)
    crc = kCrcTable[(crc ^ static_cast<std::uint8_t>(b)) & 255] ^ (crc >> 8);
  return ~crc;
}

void ZipWriter::add(const std::string& name,
                    std::span<const std::span<const std::byte>> parts) {
  std::uint64_t size = 0;
  std::uint32_t crc = 0;
  for (const auto& part : parts) {
    size += part.size();
    crc = crc32(part, crc);
  }
  MUSIC_CHECK(!name.empty() && name.size() <= kMostName,
              "[zip] entry name of {} bytes", name.size());
  if (++entries_ > kMostEntries ||
      offset_ + size + directory_.size() + (1 << 16) > kMostBytes)
    throw error(ExitCode::kUsage,
                "[zip] {} would hold more than 4 GiB or {} entries",
                path_.string(), kMostEntries);
  // An extra field has four bytes of its own.
  const std::uint64_t plain = offset_ + kLocalSize + name.size();
  const std::size_t extra =
      4 + (kAlignment - (plain + 4) % kAlignment) % kAlignment;
  const auto bytes = static_cast<std::uint32_t>(size);

  std::string local;
  append_number(local, kLocal);
  local += shared_fields(crc, bytes, name.size(), extra) + name;
  append_number(local, kPadding);
  append_number(local, static_cast<std::uint16_t>(extra - 4));
  local.append(extra - 4, 'Z');
  append_number(directory_, kCentral);
  append_number<std::uint16_t>(directory_, 20);
  directory_ += shared_fields(crc, bytes, name.size(), 0);
  // Comment, disk, attributes.
  directory_.append(10, '\0');
  append_number(directory_, static_cast<std::uint32_t>(offset_));
  directory_ += name;

  file_.write(local);
  for (const auto& part : parts) file_.write(part);
  offset_ += local.size() + size;
}

FileDigest ZipWriter::commit() {
  std::string end = directory_;
  append_number(end, kEnd);
  append_number<std::uint32_t>(end, 0);  // disks
  append_number(end, static_cast<std::uint16_t>(entries_));
  append_number(end, static_cast<std::uint16_t>(entries_));
  append_number(end, static_cast<std::uint32_t>(directory_.size()));
  append_number(end, static_cast<std::uint32_t>(offset_));
  append_number<std::uint16_t>(end, 0);  // comment
  file_.write(end);
  return file_.commit();
}

std::vector<ZipEntry> zip_entries(const FileReader& file) {
  const auto fail = [&](const std::string& what) {
    throw error(ExitCode::kData, "[zip] {}: {}", file.path().string(), what);
  };
  const auto text = [&](std::uint64_t at, std::uint64_t bytes) {
    std::string out(bytes, '\0');
    file.read(at, std::as_writable_bytes(std::span(out)));
    return out;
  };
  // The end record: last, but for a comment of up to 65,535 bytes.
  const std::uint64_t tail =
      std::min<std::uint64_t>(file.size(), kEndSize + 65'535);
  if (tail < kEndSize) fail("is not a zip file");
  const std::string last = text(file.size() - tail, tail);
  std::string signature;
  append_number(signature, kEnd);
  const std::size_t at = last.rfind(signature);
  if (at == last.npos || last.size() - at < kEndSize)
    fail("has no directory of a zip file: cut short?");
  const auto entries = number_at<std::uint16_t>(last, at + 10);
  const std::uint64_t size = number_at<std::uint32_t>(last, at + 12);
  const std::uint64_t offset = number_at<std::uint32_t>(last, at + 16);
  if (number_at<std::uint32_t>(last, at + 4) != 0 ||
      number_at<std::uint16_t>(last, at + 8) != entries || offset == kMostBytes ||
      entries == kMostEntries)
    fail("is a zip file of several parts or of zip64");
  if (offset + size > file.size() - tail + at || size > kMostDirectory)
    fail("has a directory that does not lie inside it");

  const std::string directory = text(offset, size);
  std::vector<ZipEntry> out;
  std::size_t p = 0;
  for (int i = 0; i < entries; ++i) {
    if (directory.size() - p < kCentralSize ||
        number_at<std::uint32_t>(directory, p) != kCentral)
      fail(fmt::format("has a broken directory at entry {} of {}", i, entries));
    ZipEntry e;
    e.method = number_at<std::uint16_t>(directory, p + 10);
    e.crc = number_at<std::uint32_t>(directory, p + 16);
    e.stored = number_at<std::uint32_t>(directory, p + 20);
    e.size = number_at<std::uint32_t>(directory, p + 24);
    const std::size_t name = number_at<std::uint16_t>(directory, p + 28);
    const std::size_t extra = number_at<std::uint16_t>(directory, p + 30);
    const std::size_t comment = number_at<std::uint16_t>(directory, p + 32);
    e.header = number_at<std::uint32_t>(directory, p + 42);
    p += kCentralSize;
    if (directory.size() - p < name + extra + comment || name > kMostName)
      fail(fmt::format("has a broken directory at entry {} of {}", i, entries));
    e.name = directory.substr(p, name);
    p += name + extra + comment;
    if (e.header + kLocalSize + e.stored > offset)
      fail(fmt::format("entry {} does not lie inside it", in_quotes(e.name)));
    out.push_back(std::move(e));
  }
  return out;
}

std::uint64_t zip_data_offset(const FileReader& file, const ZipEntry& entry) {
  std::string local(kLocalSize, '\0');
  file.read(entry.header, std::as_writable_bytes(std::span(local)));
  const std::uint64_t data = entry.header + kLocalSize +
                             number_at<std::uint16_t>(local, 26) +
                             number_at<std::uint16_t>(local, 28);
  if (number_at<std::uint32_t>(local, 0) != kLocal || entry.method != 0 ||
      entry.stored != entry.size || data + entry.size > file.size())
    throw error(ExitCode::kData,
                "[zip] {}: entry {} is compressed or broken, expected stored",
                file.path().string(), in_quotes(entry.name));
  return data;
}

}  // namespace music
