#include "data/tar.h"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

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

std::string_view compression_of(const FileReader& file) {
  std::array<std::byte, 4> front{};
  file.read(0, std::span(front).first(std::min<std::uint64_t>(4, file.size())));
  const auto is = [&](int a, int b) {
    return front[0] == std::byte(a) && front[1] == std::byte(b);
  };
  if (is(0x1f, 0x8b)) return " (it is compressed by gzip)";
  if (is(0x28, 0xb5)) return " (it is compressed by zstd)";
  if (is('B', 'Z')) return " (it is compressed by bzip2)";
  if (is(0xfd, '7')) return " (it is compressed by xz)";
  return "";
}

}  // namespace

void scan_tar(const FileReader& file,
              const std::function<void(const TarMember&)>& visit) {
  const std::unique_ptr<archive, int (*)(archive*)> reader(archive_read_new(),
                                                           archive_read_free);
  MUSIC_CHECK(reader != nullptr, "[tar] cannot start libarchive");
  archive_read_support_format_tar(reader.get());
  archive_read_set_read_callback(reader.get(), Scan::read);
  archive_read_set_skip_callback(reader.get(), Scan::skip);
  Scan scan{file};
  archive_read_set_callback_data(reader.get(), &scan);

  std::optional<TarMember> last;  // whose end is still to be verified
  const auto in_pieces = [&] {
    return error(ExitCode::kData,
                 "[tar] {}: {} does not lie in one piece (sparse?)",
                 file.path().string(), in_quotes(last->name));
  };
  const auto fail = [&] {
    if (scan.failure) std::rethrow_exception(scan.failure);
    if (!last)
      throw error(ExitCode::kData,
                  "[tar] {} is no plain tar archive{}: {}",
                  file.path().string(), compression_of(file),
                  reason(reader.get()));
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
    const la_int64_t header = archive_read_header_position(reader.get());
    if (last && static_cast<std::uint64_t>(header) !=
                    round_up(last->offset + last->bytes))
      throw in_pieces();
    const la_int64_t bytes = archive_entry_size(entry);
    const bool regular = archive_entry_filetype(entry) == AE_IFREG &&
                         archive_entry_hardlink(entry) == nullptr;
    last = {name_of(entry), scan.position,
            regular && bytes > 0 ? static_cast<std::uint64_t>(bytes) : 0};
    if (archive_entry_sparse_count(entry) > 0) throw in_pieces();
    if (last->bytes > file.size() - last->offset)
      throw error(ExitCode::kData,
                  "[tar] {} is cut short: {} claims {} bytes, {} are there",
                  file.path().string(), in_quotes(last->name), last->bytes,
                  file.size() - last->offset);
    if (regular) visit(*last);
  }
}

}  // namespace music::data
