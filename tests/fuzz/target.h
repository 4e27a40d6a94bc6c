#pragma once
// What the fuzz targets share. A target is one function that libFuzzer calls
// with bytes of its own making:
//   extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t*, std::size_t)
// Bytes may be refused by an Error of the expected code, in one line; anything
// else that is thrown, a crash or a sanitizer's report is a finding.

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "engine/core/error.h"

namespace music::fuzz {

// A file in memory, for parsers that take a path.
class MemoryFile {
 public:
  MemoryFile() : descriptor_(memfd_create("fuzz", 0)) {
    if (descriptor_ < 0) std::abort();
  }
  ~MemoryFile() { close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::string path() const {
    return "/proc/self/fd/" + std::to_string(descriptor_);
  }
  void set(std::span<const std::uint8_t> bytes) {
    if (ftruncate(descriptor_, 0) != 0 ||
        pwrite(descriptor_, bytes.data(), bytes.size(), 0) !=
            static_cast<ssize_t>(bytes.size()))
      std::abort();
  }

 private:
  int descriptor_;
};

// A folder whose files are links to memory files; gone at the end.
class Folder {
 public:
  Folder() {
    std::string name =
        (std::filesystem::temp_directory_path() / "music-fuzz-XXXXXX").string();
    if (!mkdtemp(name.data())) std::abort();
    path_ = name;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  void link(const std::string& name, const MemoryFile& file) {
    const auto at = path_ / name;
    std::filesystem::create_directories(at.parent_path());
    std::filesystem::create_symlink(file.path(), at);
  }
  std::string path(const std::string& name) const {
    return (path_ / name).string();
  }

 private:
  std::filesystem::path path_;
};

template <typename Parse>
int run(ExitCode refusal, const Parse& parse) {
  try {
    parse();
  } catch (const Error& failure) {
    const std::string_view text = failure.what();
    if (failure.code() != refusal || text.empty() ||
        text.find('\n') != text.npos)
      throw;
  }
  return 0;
}

}  // namespace music::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size);
