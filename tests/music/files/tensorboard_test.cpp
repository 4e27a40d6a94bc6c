#include "music/files/tensorboard.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "tests/support/scratch.h"

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

// The step of an event of ours, or "START n".
std::string said(const std::string& data) {
  std::uint64_t step = 0;
  std::size_t i = 10;  // behind wall_time and the key of step
  for (int shift = 0;; shift += 7) {
    const auto byte = static_cast<unsigned char>(data[i++]);
    step |= std::uint64_t{byte & 0x7Fu} << shift;
    if (byte < 0x80) break;
  }
  return (data[i] == '\x3a' ? "START " : "") + std::to_string(step);
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

// What the files of a folder say, in the order that readers take them.
std::vector<std::string> steps_in(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& e : fs::directory_iterator(folder)) files.push_back(e.path());
  std::sort(files.begin(), files.end());
  std::vector<std::string> out;
  for (const fs::path& file : files) {
    auto r = records(file);
    for (std::size_t i = 1; i < r.size(); ++i) out.push_back(said(r[i]));
  }
  return out;
}

void write_steps(const fs::path& folder, std::int64_t first, std::int64_t last) {
  TensorBoardWriter writer(folder, first);
  for (std::int64_t s = first; s <= last; ++s) writer.write(s, {{"loss", 1.0}});
}

using Steps = std::vector<std::string>;

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
      TensorBoardWriter resumed(folder / "tb", 400);
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
      // SessionLog START at step 400.
      CHECK(records(resumed.path()).at(1).substr(9) ==
            std::string("\x10\x90\x03\x3a\x02\x08\x01", 7));
    }
    fs::remove_all(folder);
  }

  TEST_CASE("a step that is done again stands in one file") {
    const music::test::Scratch scratch;
    write_steps(scratch.path, 0, 5);
    write_steps(scratch.path, 3, 7);  // from a checkpoint after three steps
    CHECK(steps_in(scratch.path) == Steps{"0", "1", "2", "START 3", "3", "4", "5",
                                          "6", "7"});
    // From an older one: of the second file nothing is left.
    write_steps(scratch.path, 2, 3);
    CHECK(steps_in(scratch.path) == Steps{"0", "1", "START 2", "2", "3"});
    // Twice from the same, without a step between.
    write_steps(scratch.path, 4, 3);
    write_steps(scratch.path, 4, 4);
    CHECK(steps_in(scratch.path) ==
          Steps{"0", "1", "START 2", "2", "3", "START 4", "4"});
    // From the beginning, for want of a checkpoint.
    write_steps(scratch.path, 0, 1);
    CHECK(steps_in(scratch.path) == Steps{"START 0", "0", "1"});
  }

  TEST_CASE("the names of files sort as their steps do") {
    const music::test::Scratch scratch;
    // Of a machine whose clock is ahead, and what is no number of seconds.
    const auto ahead = scratch.path / "events.out.tfevents.9123456789.zz.99999.0";
    const auto odd = scratch.path / "events.out.tfevents.profile";
    std::ofstream(ahead) << "";
    std::ofstream(odd) << "";
    std::vector<fs::path> files;
    for (int i = 0; i < 12; ++i) {  // within a second
      files.push_back(TensorBoardWriter(scratch.path, i).path());
      CHECK(files.back() > ahead);
    }
    CHECK(std::is_sorted(files.begin(), files.end()));
    CHECK(std::adjacent_find(files.begin(), files.end()) == files.end());
  }

  TEST_CASE("a torn end is cut off, what others wrote stays") {
    const music::test::Scratch scratch;
    write_steps(scratch.path, 0, 3);
    const fs::path ours = fs::directory_iterator(scratch.path)->path();
    const std::string whole = music::test::slurp(ours);
    // Another writer leaves the step of 0 out.
    const std::string theirs = tfrecord(std::string("\x09") + std::string(8, 1) +
                                        "\x1a\x0d" "brain.Event:2") +
                               tfrecord("\x09" + std::string(8, 1) + "\x10\x63");
    const fs::path other = scratch.path / "events.out.tfevents.17.other.v2";
    std::ofstream(other, std::ios::binary) << theirs;
    for (const std::size_t torn : {std::size_t{1}, std::size_t{11}, std::size_t{30}}) {
      std::ofstream(ours, std::ios::binary) << whole << whole.substr(40, torn);
      const fs::path next = TensorBoardWriter(scratch.path, 2).path();
      CHECK(records(ours).size() == 3);
      CHECK(said(records(ours).back()) == "1");
      CHECK(music::test::slurp(other) == theirs);
      fs::remove(next);
    }
    // A flipped bit is an end, too.
    std::string damaged = whole;
    damaged[whole.size() - 20] ^= 1;
    std::ofstream(ours, std::ios::binary) << damaged;
    fs::remove(TensorBoardWriter(scratch.path, 9).path());
    CHECK(said(records(ours).back()) == "2");
  }

  TEST_CASE("a folder that cannot be made is no error") {
    CHECK_NOTHROW(TensorBoardWriter("/proc/no/tb").write(1, {{"loss", 1.0}}));
  }
}
