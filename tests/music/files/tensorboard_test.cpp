#include "music/files/tensorboard.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

namespace {

using namespace music;
namespace fs = std::filesystem;

template <typename T>
T at(const std::string& data, std::size_t offset) {
  T value{};
  REQUIRE(offset + sizeof(T) <= data.size());
  std::memcpy(&value, data.data() + offset, sizeof(T));
  return value;
}

std::uint32_t unmasked(std::uint32_t m) {
  const std::uint32_t r = m - 0xA282EAD8u;
  return (r >> 17) | (r << 15);
}

// The payloads of a file whose every checksum holds.
std::vector<std::string> records(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string data{std::istreambuf_iterator<char>(in), {}};
  std::vector<std::string> out;
  for (std::size_t i = 0; i < data.size();) {
    const auto length = at<std::uint64_t>(data, i);
    CHECK(unmasked(at<std::uint32_t>(data, i + 8)) ==
          crc32c(data.substr(i, 8)));
    out.push_back(data.substr(i + 12, length));
    CHECK(unmasked(at<std::uint32_t>(data, i + 12 + length)) ==
          crc32c(out.back()));
    i += 16 + length;
  }
  return out;
}

}  // namespace

TEST_SUITE("tensorboard") {
  TEST_CASE("CRC-32C check values") {
    CHECK(crc32c("123456789") == 0xE3069283u);
    CHECK(crc32c("") == 0u);
    CHECK(crc32c(std::string(32, '\0')) == 0x8A9136AAu);  // RFC 3720 B.4
    CHECK(crc32c(std::string(32, '\xff')) == 0x62A8AB43u);
  }

  TEST_CASE("events have the layout readers expect") {
    const fs::path folder = fs::temp_directory_path() /
                            fmt::format("music_tb_{}", getpid());
    {
      TensorBoardWriter writer(folder / "tb");
      writer.write(300, {{"loss", -8.5}, {"lr", 0.25}});
      TensorBoardWriter resumed(folder / "tb", 200);
      CHECK(resumed.path() != writer.path());
      CHECK(writer.path().filename().string().rfind("events.out.tfevents.", 0)
            == 0);

      const std::vector<std::string> r = records(writer.path());
      REQUIRE(r.size() == 2);
      // wall_time (9 bytes), step 0 (2), file_version.
      CHECK(r[0].substr(9) == std::string("\x10\x00\x1a\x0d", 4) +
                                  "brain.Event:2");
      CHECK(at<double>(r[0], 1) > 1.6e9);
      const std::string summary =
          std::string("\x0a\x0b\x0a\x04loss\x15\x00\x00\x08\xc1", 13) +
          std::string("\x0a\x09\x0a\x02lr\x15\x00\x00\x80\x3e", 11);
      CHECK(r[1].substr(9) ==
            std::string("\x10\xac\x02\x2a\x18", 5) + summary);
      // SessionLog START at step 200.
      CHECK(records(resumed.path()).at(1).substr(9) ==
            std::string("\x10\xc8\x01\x3a\x02\x08\x01", 7));
    }
    fs::remove_all(folder);
  }

  TEST_CASE("a folder that cannot be made is no error") {
    CHECK_NOTHROW(TensorBoardWriter("/proc/no/tb").write(1, {{"loss", 1.0}}));
  }
}
