#include "data/foreign_data.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <vector>

#include "data/picture_format.h"
#include "engine/core/error.h"
#include "engine/io/file.h"

namespace music::data {
namespace {

namespace fs = std::filesystem;
using namespace std::string_view_literals;
using F = PictureFormat;
using Bytes = std::span<const std::uint8_t>;

bool holds(Bytes bytes, std::size_t at, std::string_view magic) {
  return bytes.size() >= at + magic.size() &&
         std::equal(magic.begin(), magic.end(),
                    bytes.begin() + static_cast<std::ptrdiff_t>(at),
                    [](char a, std::uint8_t b) {
                      return static_cast<std::uint8_t>(a) == b;
                    });
}

std::uint64_t little_endian(Bytes bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 8; i-- > 0;) value = value << 8 | bytes[i];
  return value;
}

struct Container {
  std::size_t at;
  std::string_view bytes, name;
};
// Files of many samples, beside those that picture_format knows.
constexpr std::array kContainers{
    Container{0, "PAR1"sv, "a Parquet table"},
    Container{0, "ARROW1"sv, "an Arrow table"},
    Container{0, "\xFF\xFF\xFF\xFF"sv, "an Arrow stream"},
    Container{0, "FEA1"sv, "a Feather table"},
    Container{0, "MATLAB 5.0"sv, "a MATLAB file"},
    Container{16, "\xDE\xC0\xEF\xBE"sv, "an LMDB database"},
    Container{0, "SQLite format 3"sv, "an SQLite database"},
    Container{0, "\x0A\x23\xD7\xCE"sv, "an MXNet RecordIO file"},
    Container{0, "Obj\x01"sv, "an Avro file"},
};

// Of the two bytes of each character in ASCII one is zero.
bool is_wide_text(Bytes bytes) {
  if (holds(bytes, 0, "\xFF\xFE") || holds(bytes, 0, "\xFE\xFF")) return true;
  const std::size_t pairs = std::min<std::size_t>(bytes.size(), 64) / 2;
  for (std::size_t zero = 0; zero < 2 && pairs >= 4; ++zero) {
    bool all = true;
    for (std::size_t i = 0; i < pairs; ++i)
      all &= bytes[2 * i + zero] == 0 && bytes[2 * i + 1 - zero] != 0;
    if (all) return true;
  }
  return false;
}

// By the name of the first file in it.
std::string_view zip_of(Bytes bytes) {
  if (bytes.size() < 30) return {};
  const std::size_t length = bytes[26] + 256u * bytes[27];
  const std::string_view name(reinterpret_cast<const char*>(bytes.data()) + 30,
                              std::min(length, bytes.size() - 30));
  if (name.ends_with(".npy")) return "a NumPy archive";
  if (name.ends_with("/data.pkl") || name.ends_with("/.format_version"))
    return "a PyTorch file";
  return {};
}

// Of a compressed file or an archive: the command that unpacks it.
std::string_view unpack(F format, std::string_view name) {
  const bool tar = name.find(".tar") != name.npos || name.ends_with(".tgz") ||
                   name.ends_with(".tbz") || name.ends_with(".tbz2") ||
                   name.ends_with(".txz");
  switch (format) {
    case F::kGzip: return tar ? "tar xzf" : "gunzip";
    case F::kBzip2: return tar ? "tar xjf" : "bunzip2";
    case F::kXz: return tar ? "tar xJf" : "unxz";
    case F::kZstd: return tar ? "tar --zstd -xf" : "unzstd";
    case F::kZip: return "unzip";
    case F::kTar: return "tar xf";
    case F::kRar: return "unrar x";
    case F::k7zip: return "7z x";
    default: return {};
  }
}

constexpr std::string_view kWrite =
    "write its images as files in folders, or as tar shards (KEY.jpg, KEY.cls)";

std::string expected_binary(std::string_view version, std::string_view archive,
                            std::string_view folder) {
  return fmt::format(
      "the Python version of {}, pickles, which are not read: expected its binary "
      "version, {} of www.cs.toronto.edu/~kriz/cifar.html, unpacked (folder {})",
      version, archive, folder);
}

std::string python_version(bool hundred) {
  return hundred ? expected_binary("CIFAR-100", "cifar-100-binary.tar.gz",
                                   "cifar-100-binary")
                 : expected_binary("CIFAR-10", "cifar-10-binary.tar.gz",
                                   "cifar-10-batches-bin");
}

}  // namespace

std::string describe_foreign(std::string_view name, Bytes bytes) {
  for (const bool hundred : {false, true})
    if (name.starts_with(hundred ? "cifar-100-python" : "cifar-10-python"))
      return python_version(hundred);
  bytes = bytes.first(std::min(bytes.size(), kSniffBytes));
  if (bytes.empty()) return "empty";
  for (const Container& c : kContainers)
    if (holds(bytes, c.at, c.bytes)) return fmt::format("{}: {}", c.name, kWrite);
  if (is_wide_text(bytes))
    return "text in UTF-16: `iconv -f UTF-16 -t UTF-8` makes UTF-8 of it";
  const F format = picture_format(bytes);
  if (const std::string_view of = zip_of(bytes); format == F::kZip && !of.empty())
    return fmt::format("{}: {}", of, kWrite);
  if (const std::string_view command = unpack(format, name); !command.empty())
    return fmt::format("{}: unpack it with `{}`{}", format_name(format), command,
                       format == F::kTar ? ", or name it .tar"
                                         : " and give what comes out");
  if (format == F::kNpy || format == F::kPickle || format == F::kHdf5)
    return fmt::format("{}: {}", format_name(format), kWrite);
  if (is_read(format))
    return fmt::format("{}: give its folder, or a list of images", format_name(format));
  if (format != F::kUnknown)
    return fmt::format("{}: {}", format_name(format), format_remedy(format));
  if (bytes.size() > 12) {
    const std::uint64_t length = little_endian(bytes);
    if (length > 1 && length < 100'000'000 && bytes[8] == '{')
      return "a safetensors file: weights, not images";
    // The length of the first record; an Example begins with its first field.
    if (length > 0 && length < std::uint64_t{1} << 31 && bytes[12] == 0x0A)
      return fmt::format("a TFRecord file: {}", kWrite);
  }
  return {};
}

std::string describe_foreign_file(const std::string& path) {
  try {
    const FileReader file(path);
    std::vector<std::uint8_t> first(std::min<std::uint64_t>(file.size(), kSniffBytes));
    file.read(0, std::as_writable_bytes(std::span(first)));
    return describe_foreign(fs::path(path).filename().string(), first);
  } catch (const Error&) {
    return {};
  }
}

std::string python_cifar(const std::string& folder) {
  const fs::path at = folder;
  std::error_code ignored;
  for (const bool hundred : {false, true}) {
    const fs::path below = at / (hundred ? "cifar-100-python" : "cifar-10-batches-py");
    const fs::path archive = at / (hundred ? "cifar-100-python.tar.gz"
                                           : "cifar-10-python.tar.gz");
    const bool here = hundred ? fs::is_regular_file(at / "meta", ignored) &&
                                    fs::is_regular_file(at / "train", ignored)
                              : fs::is_regular_file(at / "data_batch_1", ignored);
    for (const fs::path& found : {here ? at : fs::path(), below, archive})
      if (!found.empty() && fs::exists(found, ignored))
        return fmt::format("{} is {}", found.string(), python_version(hundred));
  }
  return {};
}

}  // namespace music::data
