#pragma once
// A folder for one test, removed at its end, and small files to put into it.

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "data/image.h"
#include "data/jpeg.h"

namespace music::data {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name =
        (std::filesystem::temp_directory_path() / "music-test-XXXXXX").string();
    if (!mkdtemp(name.data())) throw std::runtime_error("cannot make " + name);
    path_ = name;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string path(const std::string& name = "") const {
    return name.empty() ? path_.string() : (path_ / name).string();
  }
  // Parent folders are made.
  void write(const std::string& name, std::string_view bytes) const {
    const std::filesystem::path at = path_ / name;
    std::filesystem::create_directories(at.parent_path());
    std::ofstream(at, std::ios::binary).write(
        bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  // A JPEG whose pixels depend on number.
  void write_jpeg(const std::string& name, int number, int width = 40,
                  int height = 30) const {
    Image image;
    std::uint8_t* pixel = image.reset(width, height);
    for (int y = 0; y < height; ++y)
      for (int x = 0; x < width; ++x)
        for (int c = 0; c < 3; ++c)
          *pixel++ = static_cast<std::uint8_t>(number * 29 + x * (c + 1) +
                                               y * (3 - c));
    const auto bytes = encode_jpeg(image, 90);
    write(name, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }

 private:
  std::filesystem::path path_;
};

}  // namespace music::data
