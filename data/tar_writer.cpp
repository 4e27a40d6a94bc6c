// A source of its own: programs that write no shards link no writer.
#include <archive.h>
#include <archive_entry.h>

#include <utility>

#include "data/tar.h"
#include "engine/core/error.h"

namespace music::data {

TarWriter::TarWriter(const std::filesystem::path& path)
    : file_(path), archive_(archive_write_new()) {
  MUSIC_CHECK(archive_ != nullptr, "[tar] cannot start libarchive");
  archive_write_set_format_ustar(archive_);
  archive_write_set_bytes_per_block(archive_, 0);  // nothing held back
  check(archive_write_open(
      archive_, this, nullptr,
      [](archive*, void* self, const void* bytes, std::size_t n) {
        auto& writer = *static_cast<TarWriter*>(self);
        if (writer.abandoned_) return static_cast<la_ssize_t>(n);
        try {
          writer.file_.write({static_cast<const std::byte*>(bytes), n});
        } catch (...) {  // not through C code
          writer.failure_ = std::current_exception();
          return la_ssize_t{-1};
        }
        writer.written_ += n;
        return static_cast<la_ssize_t>(n);
      },
      nullptr));
}

// Closes, for archive_write_fail() would leave what it has allocated.
TarWriter::~TarWriter() {
  abandoned_ = true;
  archive_write_free(archive_);
}

void TarWriter::check(int result) {
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  if (result >= ARCHIVE_WARN) return;
  const char* reason = archive_error_string(archive_);
  throw error(ExitCode::kInternal, "[tar] {}",
              reason ? reason : "unknown error");
}

std::uint64_t TarWriter::add(const std::string& name,
                             std::span<const std::byte> bytes) {
  const std::unique_ptr<archive_entry, void (*)(archive_entry*)> entry(
      archive_entry_new(), archive_entry_free);
  archive_entry_set_pathname(entry.get(), name.c_str());
  archive_entry_set_filetype(entry.get(), AE_IFREG);
  archive_entry_set_perm(entry.get(), 0644);
  archive_entry_set_mtime(entry.get(), 0, 0);
  archive_entry_set_size(entry.get(), static_cast<la_int64_t>(bytes.size()));
  check(archive_write_header(archive_, entry.get()));
  const std::uint64_t offset = written_;
  if (!bytes.empty()) {
    const la_ssize_t n =
        archive_write_data(archive_, bytes.data(), bytes.size());
    check(n == static_cast<la_ssize_t>(bytes.size()) ? ARCHIVE_OK
                                                     : ARCHIVE_FATAL);
  }
  check(archive_write_finish_entry(archive_));
  return offset;
}

FileDigest TarWriter::commit() {
  check(archive_write_close(archive_));
  return file_.commit();
}

}  // namespace music::data
