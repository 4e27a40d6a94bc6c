#include "music/files/tensorboard.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstring>
#include <fstream>
#include <optional>
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

constexpr std::string_view kName = "events.out.tfevents.";
const std::string kFirst = bytes_field(3, "brain.Event:2");

std::vector<std::filesystem::path> event_files(
    const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  std::error_code failure;
  std::filesystem::directory_iterator it(folder, failure), end;
  for (; !failure && it != end; it.increment(failure))
    if (it->path().filename().string().starts_with(kName))
      files.push_back(it->path());
  return files;
}

// Named by seconds, or by what sorts behind all that are there: two starts may
// share a second, and the clock of another machine may be behind.
std::filesystem::path new_file(
    const std::filesystem::path& folder,
    const std::vector<std::filesystem::path>& before) {
  auto number = static_cast<std::int64_t>(wall_time());
  for (const auto& file : before) {
    const std::string name = file.filename().string();
    std::int64_t other = 0;
    const auto [end, failure] = std::from_chars(
        name.data() + kName.size(), name.data() + name.size(), other);
    if (failure == std::errc() && other < std::int64_t{1} << 60)
      number = std::max(number, other + 1);
  }
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) != 0) host = {"localhost"};
  return folder / fmt::format("{}{:010d}.{}.{}.0", kName, number, host.data(),
                              getpid());
}

// The payload of the next record; nullopt: no whole one follows.
std::optional<std::string> next_record(std::istream& in) {
  constexpr std::uint64_t kMost = 16 << 20;
  std::string head(12, '\0'), tail(4, '\0');
  if (!in.read(head.data(), 12)) return std::nullopt;
  const auto checks = [](const std::string& crc, std::string_view of) {
    return crc == little_endian(masked(crc32c(of)));
  };
  std::uint64_t length = 0;
  std::memcpy(&length, head.data(), sizeof length);
  if (length > kMost || !checks(head.substr(8), head.substr(0, 8)))
    return std::nullopt;
  std::string data(static_cast<std::size_t>(length), '\0');
  if (!in.read(data.data(), static_cast<std::streamsize>(length)) ||
      !in.read(tail.data(), 4) || !checks(tail, data))
    return std::nullopt;
  return data;
}

// The step of an event() of ours. Others leave a step of 0 out, and may order
// fields otherwise.
std::optional<std::int64_t> step_of(std::string_view data) {
  constexpr std::size_t kTime = 9;
  if (data.size() <= kTime || data[0] != key(1, 1)[0] ||
      data[kTime] != key(2, 0)[0])
    return std::nullopt;
  std::uint64_t step = 0;
  unsigned shift = 0;
  for (const char byte : data.substr(kTime + 1)) {
    step |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
    shift += 7;
    if (!(byte & 0x80)) return static_cast<std::int64_t>(step);
    if (shift > 63) break;
  }
  return std::nullopt;
}

// Cuts off a file of ours at first_step, or at a torn end.
void cut(const std::filesystem::path& file, std::int64_t first_step) {
  std::ifstream in(file, std::ios::binary);
  const std::int64_t keep = whole_events(in, first_step);
  std::error_code failure;
  if (keep < 0 ||
      static_cast<std::uintmax_t>(keep) >= std::filesystem::file_size(file, failure))
    return;
  std::filesystem::resize_file(file, static_cast<std::uintmax_t>(keep), failure);
  if (failure)
    spdlog::warn("[log] cannot truncate {}: {}; TensorBoard may show steps from "
                 "{} on twice", file.string(), failure.message(), first_step);
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

std::int64_t whole_events(std::istream& in, std::int64_t first_step) {
  auto data = next_record(in);
  if (!data || step_of(*data) != 0 || !data->ends_with(kFirst)) return -1;
  for (;;) {
    const auto keep = static_cast<std::int64_t>(in.tellg());
    data = next_record(in);
    if (!data) return keep;
    const auto step = step_of(*data);
    if (!step) return -1;
    if (*step >= first_step) return keep;
  }
}

TensorBoardWriter::TensorBoardWriter(const std::filesystem::path& folder,
                                     std::int64_t first_step) {
  std::error_code ignored;  // opening the file will say it
  std::filesystem::create_directories(folder, ignored);
  const auto before = event_files(folder);
  for (const auto& file : before) cut(file, first_step);
  file_ = std::make_unique<AppendFile>(new_file(folder, before));
  file_->append(event(0, kFirst));
  // SessionLog { 1 status = START }: to who has read what was cut off.
  if (!before.empty())
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
