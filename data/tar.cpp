#include "data/tar.h"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/core/error.h"
#include "engine/core/text.h"

namespace music::data {
namespace {

constexpr std::uint64_t kBlock = 512;

std::uint64_t round_up(std::uint64_t bytes) {
  return (bytes + kBlock - 1) / kBlock * kBlock;
}

// One archive being read. The callbacks are called by libarchive, C code, so
// exceptions wait in failure.
struct Scan {
  const FileReader& file;
  std::uint64_t position = 0;
  std::array<std::byte, kBlock> block{};
  std::exception_ptr failure{};

  static la_ssize_t read(archive*, void* self, const void** bytes) {
    auto& scan = *static_cast<Scan*>(self);
    const std::uint64_t n =
        std::min(kBlock, scan.file.size() - scan.position);
    try {
      scan.file.read(scan.position, std::span(scan.block).first(n));
    } catch (...) {
      scan.failure = std::current_exception();
      return -1;
    }
    scan.position += n;
    *bytes = scan.block.data();
    return static_cast<la_ssize_t>(n);
  }

  // Skips less than asked at the end, which libarchive then runs into.
  static la_int64_t skip(archive*, void* self, la_int64_t wanted) {
    auto& scan = *static_cast<Scan*>(self);
    const std::uint64_t n = std::min(static_cast<std::uint64_t>(wanted),
                                     scan.file.size() - scan.position);
    scan.position += n;
    return static_cast<la_int64_t>(n);
  }
};

// Names in pax headers are UTF-8, others bytes; which of the two libarchive can
// give depends on the locale.
std::string name_of(archive_entry* entry) {
  const char* name = archive_entry_pathname(entry);
  if (!name) name = archive_entry_pathname_utf8(entry);
  return name ? name : "";
}

std::string_view reason(archive* a) {
  const char* text = archive_error_string(a);
  return text ? text : "unknown error";
}

// What a file that is no tar archive is instead, and the way out.
std::string why_no_tar(const FileReader& file, archive* reader) {
  std::string front(std::min<std::uint64_t>(64, file.size()), '\0');
  file.read(0, std::as_writable_bytes(std::span(front)));
  const auto packed = [&](std::string_view by, std::string_view command) {
    return fmt::format("it is compressed by {}, expected a plain archive ({} "
                       "OLD > NEW.tar)", by, command);
  };
  if (front.starts_with("\x1f\x8b")) return packed("gzip", "gzip -dc");
  if (front.starts_with("\x28\xb5\x2f\xfd")) return packed("zstd", "zstd -dc");
  if (front.starts_with("BZh")) return packed("bzip2", "bzip2 -dc");
  if (front.starts_with("\xfd" "7zXZ")) return packed("xz", "xz -dc");
  if (front.starts_with("\x04\x22\x4d\x18")) return packed("lz4", "lz4 -dc");
  if (front.starts_with("PK\x03\x04"))
    return "it is a zip archive, expected tar (unzip it; a folder is read too)";
  if (front.starts_with("version https://git-lfs"))
    return "it is a Git LFS pointer, not the archive (git lfs pull fetches it)";
  if (front.starts_with("<"))
    return "it is a page of HTML or XML, not the archive (download it again)";
  return std::string(reason(reader));
}

bool is_zero(std::span<const std::byte> bytes) {
  return std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{}; });
}

// The first block from `at` on that is all zeros, or is not; the file's size
// where there is none.
std::uint64_t find_block(const FileReader& file, std::uint64_t at, bool zeros) {
  std::vector<std::byte> piece(std::size_t{128} * kBlock);
  while (at < file.size()) {
    const auto n = std::min<std::uint64_t>(piece.size(), file.size() - at);
    file.read(at, std::span(piece).first(n));
    for (std::uint64_t i = 0; i < n; i += kBlock)
      if (is_zero(std::span(piece).subspan(i, std::min(kBlock, n - i))) == zeros)
        return at + i;
    at += n;
  }
  return file.size();
}

// Whether its checksum says that a header begins there.
bool is_header(const FileReader& file, std::uint64_t at) {
  std::array<std::byte, kBlock> block;
  if (file.size() - at < kBlock) return false;
  file.read(at, block);
  constexpr std::size_t kField = 148, kFieldEnd = 156;
  unsigned sum = 0, stated = 0;
  for (std::size_t i = 0; i < kBlock; ++i)
    sum += i >= kField && i < kFieldEnd ? ' ' : std::to_integer<unsigned>(block[i]);
  for (std::size_t i = kField; i < kFieldEnd; ++i) {
    const auto c = std::to_integer<unsigned char>(block[i]);
    if (c >= '0' && c <= '7') stated = 8 * stated + (c - '0');
    else if (c != ' ' || stated > 0) break;
  }
  return sum == stated;
}

// Reads one archive, which begins at `from`; returns where its last member ends.
std::uint64_t scan_one(const FileReader& file, std::uint64_t from,
                       const std::function<void(const TarMember&)>& visit) {
  const std::unique_ptr<archive, int (*)(archive*)> reader(archive_read_new(),
                                                           archive_read_free);
  MUSIC_CHECK(reader != nullptr, "[tar] cannot start libarchive");
  archive_read_support_format_tar(reader.get());
  archive_read_set_read_callback(reader.get(), Scan::read);
  archive_read_set_skip_callback(reader.get(), Scan::skip);
  Scan scan{file, from};
  archive_read_set_callback_data(reader.get(), &scan);

  std::optional<TarMember> last;
  const auto fail = [&] {
    if (scan.failure) std::rethrow_exception(scan.failure);
    if (!last)
      throw error(ExitCode::kData, "[tar] {} is no plain tar archive: {}",
                  file.path().string(), why_no_tar(file, reader.get()));
    throw error(ExitCode::kData, "[tar] {}: damaged after {}: {}",
                file.path().string(), in_quotes(last->name),
                reason(reader.get()));
  };
  if (archive_read_open1(reader.get()) != ARCHIVE_OK) fail();
  archive_entry* entry = nullptr;
  while (true) {
    const int result = archive_read_next_header(reader.get(), &entry);
    if (result == ARCHIVE_EOF) break;
    // "Retry" means a damaged header, to be searched past.
    if (result != ARCHIVE_OK && result != ARCHIVE_WARN) fail();
    const auto header = from + static_cast<std::uint64_t>(
                                   archive_read_header_position(reader.get()));
    const bool plain = last && last->kind == TarMember::Kind::kFile;
    if (plain && header != round_up(last->offset + last->bytes))
      throw error(ExitCode::kData, "[tar] {}: {} does not lie in one piece",
                  file.path().string(), in_quotes(last->name));
    const la_int64_t bytes = archive_entry_size(entry);
    const bool link = archive_entry_hardlink(entry) != nullptr ||
                      archive_entry_filetype(entry) == AE_IFLNK;
    const bool regular = archive_entry_filetype(entry) == AE_IFREG;
    last = {name_of(entry), scan.position,
            regular && bytes > 0 ? static_cast<std::uint64_t>(bytes) : 0};
    if (link) last->kind = TarMember::Kind::kLink;
    else if (archive_entry_sparse_count(entry) > 0)
      last->kind = TarMember::Kind::kSparse;
    if (last->kind == TarMember::Kind::kFile &&
        last->bytes > file.size() - last->offset)
      throw error(ExitCode::kData,
                  "[tar] {} is cut short: {} claims {} bytes, {} are there",
                  file.path().string(), in_quotes(last->name), last->bytes,
                  file.size() - last->offset);
    if (regular || link) visit(*last);
  }
  if (!last) return from;
  if (last->kind == TarMember::Kind::kFile)
    return round_up(last->offset + last->bytes);
  // Somewhere before the end mark, of which libarchive has read two blocks.
  return std::max(last->offset,
                  scan.position - std::min(scan.position, 2 * kBlock));
}

}  // namespace

TarEnd scan_tar(const FileReader& file,
                const std::function<void(const TarMember&)>& visit) {
  TarEnd end;
  std::uint64_t at = 0;
  while (at < file.size()) {
    const std::uint64_t mark = find_block(
        file, std::min(scan_one(file, at, visit), file.size()), true);
    end.marked = mark < file.size();
    at = find_block(file, mark, false);
    if (at < file.size() && !is_header(file, at)) {
      end.rest = file.size() - at;
      break;
    }
  }
  return end;
}

}  // namespace music::data
