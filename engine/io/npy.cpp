#include "engine/io/npy.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "engine/core/text.h"
#include "engine/io/file.h"

namespace music {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::string_view kMagic("\x93NUMPY\x01\x00", 8);  // version 1.0
constexpr std::size_t kFront = kMagic.size() + 2;  // and the header's length
constexpr std::size_t kMaxDims = 8;
constexpr std::pair<std::string_view, DType> kTypes[] = {
    {"<f4", DType::kF32},
    {"<f8", DType::kF64},
    {"<i8", DType::kI64},
    {"|u1", DType::kU8},
    {"<f2", DType::kF16},
    {"<i4", DType::kI32}};

std::optional<std::uint64_t> byte_size(std::span<const std::int64_t> shape,
                                       DType dtype) {
  std::uint64_t bytes = size_of(dtype);
  for (const std::int64_t dim : shape)
    if (dim < 0 || __builtin_mul_overflow(
                       bytes, static_cast<std::uint64_t>(dim), &bytes))
      return std::nullopt;
  return bytes;
}

// Takes `expected` off the front of `text`.
bool take(std::string_view& text, std::string_view expected) {
  if (!text.starts_with(expected)) return false;
  text.remove_prefix(expected.size());
  return true;
}

// The header exactly as numpy.save writes it:
// {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }  and spaces, \n.
bool parse_header(std::string_view text, DType& dtype,
                  std::vector<std::int64_t>& shape) {
  if (!take(text, "{'descr': '")) return false;
  bool known = false;
  for (const auto& [name, type] : kTypes)
    if (!known && take(text, name)) {
      dtype = type;
      known = true;
    }
  if (!known || !take(text, "', 'fortran_order': False, 'shape': ("))
    return false;
  while (!take(text, ")")) {
    std::int64_t dim = 0;
    const auto [end, failure] =
        std::from_chars(text.data(), text.data() + text.size(), dim);
    if (failure != std::errc() || dim < 0 || shape.size() == kMaxDims)
      return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    shape.push_back(dim);
    // (3,) and (2, 3): one dimension keeps its comma.
    if (!text.starts_with(')') && !take(text, ", ") && !take(text, ","))
      return false;
  }
  return take(text, ", }") && text.ends_with('\n') &&
         text.find_first_not_of(' ') == text.size() - 1;
}

// Magic, length and text, at least `least` bytes.
std::string make_header(std::string_view descr,
                        std::span<const std::int64_t> shape,
                        std::size_t least = 0) {
  std::string text = fmt::format(
      "{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}", descr,
      fmt::join(shape, ", "), shape.size() == 1 ? "," : "");
  const std::size_t end =
      (std::max(kFront + text.size() + 1, least) + 63) / 64 * 64;
  text.resize(end - kFront - 1, ' ');
  text += '\n';
  const auto length = static_cast<std::uint16_t>(text.size());
  return std::string(kMagic) +
         std::string(reinterpret_cast<const char*>(&length), sizeof(length)) +
         text;
}

// As numpy calls it, and its bytes.
std::pair<std::string_view, std::uint64_t> describe(NpyWriter::Type type) {
  switch (type) {
    case NpyWriter::Type::kF32: return {"<f4", 4};
    case NpyWriter::Type::kF64: return {"<f8", 8};
    case NpyWriter::Type::kI64: return {"<i8", 8};
    case NpyWriter::Type::kU8: return {"|u1", 1};
    case NpyWriter::Type::kU16: return {"<u2", 2};
  }
  return {};
}

}  // namespace

NpyWriter::NpyWriter(const std::filesystem::path& path, Type type,
                     std::vector<std::int64_t> row)
    : file_(path), type_(type), row_(std::move(row)),
      row_bytes_(describe(type).second) {
  MUSIC_CHECK(row_.size() < kMaxDims, "[npy] rows of {}", row_);
  for (const std::int64_t dim : row_)
    MUSIC_CHECK(dim >= 1 && !__builtin_mul_overflow(
                                row_bytes_, static_cast<std::uint64_t>(dim),
                                &row_bytes_),
                "[npy] rows of {}", row_);
  file_.write(header(0));
}

// As long for any number of rows.
std::string NpyWriter::header(std::int64_t rows) const {
  std::vector<std::int64_t> shape{std::numeric_limits<std::int64_t>::max()};
  shape.insert(shape.end(), row_.begin(), row_.end());
  const std::string_view descr = describe(type_).first;
  const std::size_t longest = make_header(descr, shape).size();
  shape[0] = rows;
  return make_header(descr, shape, longest);
}

void NpyWriter::write_bytes(std::span<const std::byte> bytes) {
  file_.write(bytes);
  bytes_ += bytes.size();
}

void NpyWriter::append(const std::filesystem::path& path) {
  const FileReader file(path);
  const std::uint64_t front = header(0).size();
  const std::uint64_t rows =
      file.size() < front ? 0 : (file.size() - front) / row_bytes_;
  std::string found(front, '\0');
  if (file.size() >= front)
    file.read(0, std::as_writable_bytes(std::span(found)));
  if (found != header(static_cast<std::int64_t>(rows)) ||
      file.size() != front + rows * row_bytes_)
    throw error(ExitCode::kData, "[npy] {} is not of such rows", path.string());
  std::vector<std::byte> piece(std::size_t{1} << 20);
  for (std::uint64_t at = front; at < file.size();) {
    const std::span<std::byte> bytes(
        piece.data(), std::min<std::uint64_t>(piece.size(), file.size() - at));
    file.read(at, bytes);
    write_bytes(bytes);
    at += bytes.size();
  }
}

std::int64_t NpyWriter::commit() {
  MUSIC_CHECK(bytes_ % row_bytes_ == 0, "[npy] {} bytes are no whole rows of {}",
              bytes_, row_bytes_);
  const auto rows = static_cast<std::int64_t>(bytes_ / row_bytes_);
  const std::string text = header(rows);
  file_.rewrite(0, std::as_bytes(std::span(text)));
  file_.commit();
  return rows;
}

std::string npy_header(DType dtype, std::span<const std::int64_t> shape) {
  std::string_view descr;
  for (const auto& [name, type] : kTypes)
    if (type == dtype) descr = name;
  MUSIC_CHECK(!descr.empty() && shape.size() <= kMaxDims,
              "[npy] cannot write {} {}", name_of(dtype), shape);
  return make_header(descr, shape);
}

void write_npy(const std::filesystem::path& path, DType dtype,
               std::span<const std::int64_t> shape,
               std::span<const std::byte> data) {
  const std::string header = npy_header(dtype, shape);
  MUSIC_CHECK(byte_size(shape, dtype) == data.size(),
              "[npy] cannot write {} bytes as {} {}", data.size(),
              name_of(dtype), shape);
  FileWriter file(path);
  file.write(header);
  file.write(data);
  file.commit();
}

NpyReader::NpyReader(const std::filesystem::path& path, FilePart part)
    : file_(path) {
  const auto fail = [&](const std::string& what) {
    throw error(ExitCode::kData, "[npy] {}: {}", path.string(), what);
  };
  if (part.begin > file_.size() ||
      part.bytes.value_or(0) > file_.size() - part.begin)
    fail("ends before the array");
  const std::uint64_t size = part.bytes.value_or(file_.size() - part.begin);
  std::string front(kFront, '\0');
  if (size < kFront) fail("too short for a .npy file");
  file_.read(part.begin, std::as_writable_bytes(std::span(front)));
  if (!front.starts_with(kMagic)) fail("is not a .npy file of version 1.0");
  std::uint16_t length = 0;
  std::memcpy(&length, &front[kMagic.size()], sizeof(length));
  if (length > size - kFront) fail("ends inside its header");
  std::string header(length, '\0');
  file_.read(part.begin + kFront, std::as_writable_bytes(std::span(header)));
  if (!parse_header(header, dtype_, shape_))
    fail("header " + in_quotes(header) +
         ", expected a C-ordered array of <f4, <f8, <f2, <i8, <i4 or |u1");
  begin_ = part.begin + kFront + length;
  const std::uint64_t found = size - kFront - length;
  if (byte_size(shape_, dtype_) != found)
    fail(fmt::format("shape {} does not fit its {} bytes of data", shape_,
                     found));
}

void NpyReader::read(std::int64_t first, std::span<std::byte> out) const {
  MUSIC_CHECK(first >= 0 && out.size() % size_of(dtype_) == 0,
              "[npy] {} bytes from element {} of {}", out.size(), first,
              path().string());
  file_.read(begin_ + static_cast<std::uint64_t>(first) * size_of(dtype_), out);
}

NpyArray read_npy(const std::filesystem::path& path, FilePart part) {
  const NpyReader reader(path, part);
  NpyArray array;
  array.dtype = reader.dtype();
  array.shape = reader.shape();
  array.data = Buffer(*byte_size(array.shape, array.dtype));
  reader.read(0, {array.data.as<std::byte>(), array.data.bytes()});
  return array;
}

}  // namespace music
