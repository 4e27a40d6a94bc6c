// The reader's rules, by number as in the comments below:
//  R1 the file has 8 bytes. R2 header length N <= 16 MiB, checked before
//  memory is taken. R3 8 + N <= file size. R4 the header begins with '{'.
//  R5 it is strict UTF-8 JSON, one object, followed by spaces only.
//  R6 no key twice, at any level. R7 __metadata__ maps strings to strings.
//  R8 an entry has exactly dtype, shape, data_offsets. R9 a known dtype.
//  R10 dimensions are JSON integers in [0, 2^48). R11 sizes are multiplied
//  with overflow checks. R12 begin <= end. R13 end - begin is the tensor's
//  size. R14 sorted by offset the tensors tile the payload. R15 nothing
//  follows them. R16 rank <= 8, 100,000 tensors, names <= 1 KiB without
//  control characters.
#include "engine/io/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>
#include <utility>

#include "engine/core/error.h"
#include "engine/core/text.h"

namespace music {
namespace {

static_assert(std::endian::native == std::endian::little);
using nlohmann::json;

// The format allows 100,000,000, which take 545 MiB to read. Tensors of a file are
// 100,000 at most: 16 MiB are 160 bytes for each.
constexpr std::uint64_t kMaxHeader = std::uint64_t{16} << 20;
constexpr std::int64_t kMaxDimension = std::int64_t{1} << 48;
constexpr std::size_t kMaxRank = 8, kMaxTensors = 100'000, kMaxName = 1024;
constexpr std::string_view kMetadataKey = "__metadata__";
constexpr DType kDTypes[] = {DType::kF64,  DType::kF32, DType::kF16,
                             DType::kBF16, DType::kI64, DType::kI32,
                             DType::kU8,   DType::kBool};

std::optional<std::uint64_t> byte_size(const std::vector<std::int64_t>& shape,
                                       DType dtype) {
  std::uint64_t bytes = size_of(dtype);
  for (const std::int64_t dim : shape)
    if (dim < 0 || dim >= kMaxDimension ||
        __builtin_mul_overflow(bytes, static_cast<std::uint64_t>(dim), &bytes))
      return std::nullopt;
  return bytes;
}

// U+0000-U+001F and U+007F.
bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
}

struct Parsed {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0, end = 0;
};

// Receives the JSON as it is read: nothing is built that breaks a rule, and
// duplicate keys are seen (a document tree would keep the last one silently).
class HeaderHandler : public json::json_sax_t {
 public:
  explicit HeaderHandler(const std::string& file) : file_(file) {}

  std::map<std::string, std::string> metadata;
  std::vector<Parsed> tensors;

  template <typename... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> format,
                         Args&&... args) const {
    throw error(ExitCode::kData, "[safetensors] {}: {}", file_,
                fmt::format(format, std::forward<Args>(args)...));
  }

  bool start_object(std::size_t) override {
    if (at_ == At::kStart) {
      at_ = At::kRoot;
    } else if (at_ == At::kRoot && key_ == kMetadataKey) {
      at_ = At::kMetadata;
    } else if (at_ == At::kRoot) {
      if (tensors.size() == kMaxTensors)  // R16
        fail("more than {} tensors", kMaxTensors);
      tensors.push_back({key_, {}, {}, 0, 0});
      fields_.clear();
      at_ = At::kEntry;
    } else {
      unexpected("an object");
    }
    return true;
  }

  bool key(std::string& key) override {
    if (at_ == At::kRoot) {
      if (key.size() > kMaxName || has_control(key))  // R16
        fail("tensor name {} is longer than {} bytes or has control characters",
             in_quotes(key), kMaxName);
      if (!names_.insert(key).second) duplicate(key);  // R6
    } else if (at_ == At::kMetadata) {
      if (metadata.count(key)) duplicate(key);
    } else {  // R8
      if (key != "dtype" && key != "shape" && key != "data_offsets")
        fail("{} has the unknown field {}", where(), in_quotes(key));
      if (!fields_.insert(key).second) duplicate(key);
    }
    key_ = key;
    return true;
  }

  bool string(std::string& value) override {
    if (at_ == At::kMetadata) {
      metadata[key_] = value;
    } else if (at_ == At::kEntry && key_ == "dtype") {
      const auto dtype =
          std::find_if(std::begin(kDTypes), std::end(kDTypes),
                       [&](DType d) { return name_of(d) == value; });
      if (dtype == std::end(kDTypes))  // R9
        fail("{} has dtype {}, expected F64, F32, F16, BF16, I64, I32, U8 or "
             "BOOL", where(), in_quotes(value));
      tensors.back().dtype = *dtype;
    } else {
      unexpected("a string");
    }
    return true;
  }

  bool start_array(std::size_t) override {
    if (at_ != At::kEntry || key_ == "dtype") unexpected("an array");
    at_ = key_ == "shape" ? At::kShape : At::kOffsets;
    offsets_ = 0;
    return true;
  }

  bool number_unsigned(std::uint64_t value) override {
    if (at_ == At::kShape) {
      if (value >= std::uint64_t{kMaxDimension})  // R10
        fail("{} has dimension {}, limit 2^48", where(), value);
      if (tensors.back().shape.size() == kMaxRank)  // R16
        fail("{} has more than {} dimensions", where(), kMaxRank);
      tensors.back().shape.push_back(static_cast<std::int64_t>(value));
    } else if (at_ == At::kOffsets && offsets_ < 2) {
      (offsets_++ == 0 ? tensors.back().begin : tensors.back().end) = value;
    } else {
      unexpected("a number");
    }
    return true;
  }

  bool end_array() override {
    if (at_ == At::kOffsets && offsets_ != 2)
      fail("{} has {} data_offsets, expected 2", where(), offsets_);
    at_ = At::kEntry;
    return true;
  }

  bool end_object() override {
    if (at_ == At::kEntry && fields_.size() != 3)  // R8
      fail("{} lacks one of dtype, shape, data_offsets", where());
    at_ = at_ == At::kRoot ? At::kEnd : At::kRoot;
    return true;
  }

  bool null() override { unexpected("null"); }
  bool boolean(bool) override { unexpected("a boolean"); }
  bool number_integer(std::int64_t) override {  // R10
    unexpected("a number with a sign");
  }
  bool number_float(double, const std::string& text) override {  // R10
    unexpected("the number " + in_quotes(text));
  }
  bool binary(json::binary_t&) override { unexpected("binary"); }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {  // R5
    fail("the header is not strict JSON in UTF-8 at its byte {}", position);
  }

 private:
  enum class At { kStart, kRoot, kMetadata, kEntry, kShape, kOffsets, kEnd };

  std::string where() const {
    return "tensor " + in_quotes(tensors.back().name);
  }
  [[noreturn]] void duplicate(const std::string& key) const {
    fail("the key {} occurs twice", in_quotes(key));
  }
  [[noreturn]] void unexpected(std::string_view what) const {
    if (at_ == At::kMetadata)  // R7
      fail("__metadata__ holds {} for {}, expected strings", what,
           in_quotes(key_));
    if (at_ == At::kRoot || at_ == At::kStart)
      fail("the header holds {} where a tensor's object is expected", what);
    fail("{} holds {} in {}", where(), what, in_quotes(key_));
  }

  const std::string& file_;
  At at_ = At::kStart;
  std::string key_;
  std::set<std::string> names_, fields_;
  int offsets_ = 0;
};

HeaderHandler parse_header(const std::string& header, const std::string& file) {
  HeaderHandler handler(file);
  if (header.empty() || header.front() != '{')  // R4
    handler.fail("the header does not begin with '{{'");
  // R5. The parser takes other blanks after the object and reads a NUL as the
  // end, so both are refused here.
  if (header[header.find_last_not_of(' ')] != '}' ||
      header.find('\0') != std::string::npos)
    handler.fail("the header is not one JSON object padded with spaces");
  json::sax_parse(header, &handler);
  return handler;
}

// R11-R15; returns the tensors by offset.
void check_layout(HeaderHandler& header, std::uint64_t payload) {
  auto& tensors = header.tensors;
  for (const Parsed& t : tensors) {
    const auto bytes = byte_size(t.shape, t.dtype);
    if (!bytes)  // R11
      header.fail("tensor {}: the size of shape {} overflows",
                  in_quotes(t.name), t.shape);
    if (t.begin > t.end || t.end - t.begin != *bytes)  // R12, R13
      header.fail("tensor {} spans [{}, {}), {} {} needs {} bytes",
                  in_quotes(t.name), t.begin, t.end, name_of(t.dtype), t.shape,
                  *bytes);
  }
  std::sort(tensors.begin(), tensors.end(), [](auto& a, auto& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  std::uint64_t end = 0;
  for (const Parsed& t : tensors) {
    if (t.begin != end)  // R14
      header.fail("tensor {} begins at {}, the one before ends at {}",
                  in_quotes(t.name), t.begin, end);
    end = t.end;
  }
  if (end != payload)  // R15
    header.fail("the tensors end at {}, the file has {} bytes for them", end,
                payload);
}

}  // namespace

template <typename Read>
SafetensorsFile SafetensorsFile::load(std::uint64_t size, const Read& read,
                                      const std::string& name, Xxh3* hash) {
  const auto fail = [&](const std::string& what) {
    throw error(ExitCode::kData, "[safetensors] {}: {}", name, what);
  };
  std::uint64_t length = 0;
  if (size < sizeof(length))  // R1
    fail(fmt::format("has {} bytes, a header length needs 8", size));
  read(0, std::as_writable_bytes(std::span(&length, 1)));
  if (length > kMaxHeader)  // R2
    fail(fmt::format("header of {} bytes, limit {}", length, kMaxHeader));
  if (length > size - sizeof(length))  // R3
    fail(fmt::format("header of {} bytes, the file ends after {}", length,
                     size - sizeof(length)));
  std::string text(length, '\0');
  read(sizeof(length), std::as_writable_bytes(std::span(text)));
  HeaderHandler header = parse_header(text, name);
  const std::uint64_t start = sizeof(length) + length;
  check_layout(header, size - start);

  SafetensorsFile file;
  file.payload_ = Buffer(size - start);
  const std::span payload(file.payload_.as<std::byte>(), size - start);
  read(start, payload);
  if (hash) {
    hash->update(std::as_bytes(std::span(&length, 1)));
    hash->update(std::as_bytes(std::span(text)));
    hash->update(payload);
  }
  file.metadata_ = std::move(header.metadata);
  for (Parsed& t : header.tensors) {
    file.index_.emplace(t.name, file.tensors_.size());
    file.tensors_.push_back({std::move(t.name), t.dtype, std::move(t.shape),
                             payload.subspan(t.begin, t.end - t.begin)});
  }
  return file;
}

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path,
                                      FileDigest* digest) {
  const FileReader file(path);
  Xxh3 hash;
  SafetensorsFile result = load(
      file.size(),
      [&](std::uint64_t at, std::span<std::byte> out) { file.read(at, out); },
      path.string(), digest ? &hash : nullptr);
  if (digest) *digest = hash.digest();
  return result;
}

SafetensorsFile SafetensorsFile::parse(std::span<const std::byte> bytes,
                                       const std::string& name) {
  return load(
      bytes.size(),
      [&](std::uint64_t at, std::span<std::byte> out) {
        if (!out.empty()) std::memcpy(out.data(), &bytes[at], out.size());
      },
      name, nullptr);
}

std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> names;
  for (const TensorEntry& tensor : tensors_) names.push_back(tensor.name);
  return names;
}

const TensorEntry* SafetensorsFile::find(std::string_view name) const {
  const auto at = index_.find(name);
  return at == index_.end() ? nullptr : &tensors_[at->second];
}

TensorEntry tensor_entry(std::string name, const Tensor& tensor) {
  const auto dims = tensor.shape.dims();
  return {std::move(name), tensor.dtype, {dims.begin(), dims.end()},
          {static_cast<const std::byte*>(tensor.data), tensor.bytes()}};
}

FileDigest write_safetensors(
    const std::filesystem::path& path, std::span<const TensorEntry> tensors,
    const std::map<std::string, std::string>& metadata) {
  std::vector<const TensorEntry*> order;
  for (const TensorEntry& tensor : tensors) order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](auto* a, auto* b) {
    const std::size_t sa = size_of(a->dtype), sb = size_of(b->dtype);
    return sa != sb ? sa > sb : a->name < b->name;
  });

  auto all = metadata;
  all["format"] = "pt";
  std::string header = fmt::format(
      "{{\"{}\":{}", kMetadataKey,
      json(all).dump(-1, ' ', false, json::error_handler_t::replace));
  std::set<std::string_view> names = {kMetadataKey};
  std::uint64_t offset = 0;
  MUSIC_CHECK(order.size() <= kMaxTensors, "[safetensors] {} tensors, limit {}",
              order.size(), kMaxTensors);
  for (const TensorEntry* t : order) {
    const auto bytes = byte_size(t->shape, t->dtype);
    MUSIC_CHECK(bytes == t->data.size() && t->shape.size() <= kMaxRank,
                "[safetensors] tensor {}: {} {} does not hold {} bytes",
                in_quotes(t->name), name_of(t->dtype), t->shape,
                t->data.size());
    MUSIC_CHECK(t->name.size() <= kMaxName && !has_control(t->name) &&
                    names.insert(t->name).second,
                "[safetensors] tensor name {} is not allowed or occurs twice",
                in_quotes(t->name));
    std::string name;
    try {
      name = json(t->name).dump();
    } catch (const json::exception&) {
      MUSIC_CHECK(false, "[safetensors] tensor name {} is not UTF-8",
                  in_quotes(t->name));
    }
    header += fmt::format(
        ",{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
        name, name_of(t->dtype), fmt::join(t->shape, ","), offset,
        offset + *bytes);
    offset += *bytes;
  }
  header += '}';
  header.resize((header.size() + 7) / 8 * 8, ' ');
  MUSIC_CHECK(header.size() <= kMaxHeader,
              "[safetensors] header of {} bytes, limit {}", header.size(),
              kMaxHeader);

  FileWriter file(path);
  const std::uint64_t length = header.size();
  file.write(std::as_bytes(std::span(&length, 1)));
  file.write(header);
  for (const TensorEntry* t : order) file.write(t->data);
  return file.commit();
}

}  // namespace music
