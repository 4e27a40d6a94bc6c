#include "music/files/tensorboard.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <system_error>

namespace music {
namespace {

constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit)
      c = (c & 1) ? 0x82F63B78u ^ (c >> 1) : c >> 1;
    table[i] = c;
  }
  return table;
}

constexpr std::array<std::uint32_t, 256> kTable = make_table();

// TFRecord's mask: a CRC of data that holds CRCs would be weak.
std::uint32_t masked(std::uint32_t crc) {
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u;
}

template <typename T>
std::string little_endian(T value) {
  std::string out(sizeof(T), '\0');
  std::memcpy(out.data(), &value, sizeof(T));
  return out;
}

// Protocol buffers: a field is its key, (number << 3 | type), and its value.
std::string varint(std::uint64_t v) {
  std::string out;
  for (; v >= 0x80; v >>= 7) out += static_cast<char>(v | 0x80);
  return out + static_cast<char>(v);
}
std::string key(unsigned field, unsigned type) {
  return varint(field << 3 | type);
}
std::string integer_field(unsigned field, std::int64_t v) {
  return key(field, 0) + varint(static_cast<std::uint64_t>(v));
}
std::string double_field(unsigned field, double v) {
  return key(field, 1) + little_endian(v);
}
std::string float_field(unsigned field, float v) {
  return key(field, 5) + little_endian(v);
}
std::string bytes_field(unsigned field, std::string_view v) {
  return key(field, 2).append(varint(v.size())).append(v);
}

double wall_time() {
  return std::chrono::duration<double>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// Event { 1 wall_time, 2 step, one of 3 file_version, 5 summary, 7 log }.
std::string event(std::int64_t step, const std::string& what) {
  return tfrecord(double_field(1, wall_time()) + integer_field(2, step) + what);
}

std::filesystem::path new_file(const std::filesystem::path& folder) {
  static std::atomic<int> sequence{0};
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) != 0) host = {"localhost"};
  return folder / fmt::format("events.out.tfevents.{:010d}.{}.{}.{}",
                              static_cast<std::int64_t>(wall_time()),
                              host.data(), getpid(), sequence++);
}

}  // namespace

std::uint32_t crc32c(std::string_view data) {
  std::uint32_t c = ~0u;
  for (char byte : data)
    c = kTable[(c ^ static_cast<unsigned char>(byte)) & 0xFF] ^ (c >> 8);
  return ~c;
}

std::string tfrecord(std::string_view data) {
  std::string out = little_endian(static_cast<std::uint64_t>(data.size()));
  out += little_endian(masked(crc32c(out)));
  out += data;
  return out + little_endian(masked(crc32c(data)));
}

TensorBoardWriter::TensorBoardWriter(const std::filesystem::path& folder,
                                     std::int64_t first_step) {
  std::error_code ignored;  // opening the file will say it
  std::filesystem::create_directories(folder, ignored);
  file_ = std::make_unique<AppendFile>(new_file(folder));
  file_->append(event(0, bytes_field(3, "brain.Event:2")));
  // SessionLog { 1 status = START }.
  if (first_step > 0)
    file_->append(event(first_step, bytes_field(7, integer_field(1, 1))));
}

void TensorBoardWriter::write(
    std::int64_t step,
    const std::vector<std::pair<std::string, double>>& scalars) {
  std::string summary;  // Summary { repeated 1 Value { 1 tag, 2 number } }
  for (const auto& [tag, value] : scalars)
    summary += bytes_field(1, bytes_field(1, tag) +
                                  float_field(2, static_cast<float>(value)));
  file_->append(event(step, bytes_field(5, summary)));
}

}  // namespace music
