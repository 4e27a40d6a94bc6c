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
    Container{0, "\0\0\x08\x03"sv, "an IDX file, as of MNIST"},
    Container{0, "\0\0\x08\x01"sv, "an IDX file of labels, as of MNIST"},
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

struct Download {
  std::string_view archive, folder, file;  // the last tells the folder's contents
  std::string_view name, binary;           // of the Python version, binary's archive
};
constexpr std::array kDownloads{
    Download{"cifar-10-python", "cifar-10-batches-py", "data_batch_1", "CIFAR-10",
             "cifar-10-binary"},
    Download{"cifar-100-python", "cifar-100-python", "train", "CIFAR-100",
             "cifar-100-binary"},
    Download{"cifar-10-binary", "cifar-10-batches-bin", "", "", ""},
    Download{"cifar-100-binary", "cifar-100-binary", "", "", ""},
    Download{"stl10_binary", "stl10_binary", "", "", ""}};

ForeignData described(const Download& d) {
  if (d.name.empty())
    return {"an archive of records",
            fmt::format("unpack it with `tar xzf` and give its folder {}", d.folder)};
  return {fmt::format("the Python version of {} (pickles, which are not read)", d.name),
          fmt::format("download the binary version, {}.tar.gz of "
                      "www.cs.toronto.edu/~kriz/cifar.html, and give its folder {}",
                      d.binary, d.binary == "cifar-10-binary" ? "cifar-10-batches-bin"
                                                              : d.binary)};
}

}  // namespace

ForeignData foreign_data(std::string_view name, Bytes bytes) {
  bytes = bytes.first(std::min(bytes.size(), kSniffBytes));
  if (bytes.empty()) return {};
  const std::string write(kWrite);
  for (const Container& c : kContainers)
    if (holds(bytes, c.at, c.bytes)) return {std::string(c.name), write};
  if (is_wide_text(bytes))
    return {"text in UTF-16", "`iconv -f UTF-16 -t UTF-8` makes UTF-8 of it"};
  const F format = picture_format(bytes);
  const std::string what(format_name(format));
  if (const std::string_view of = zip_of(bytes); format == F::kZip && !of.empty())
    return {std::string(of), write};
  if (format == F::kTar && name.ends_with(".tar"))
    return {what, "give a pattern as 'DIR/*.tar', or the folder where no other is in it"};
  if (const std::string_view command = unpack(format, name); !command.empty())
    return {what, fmt::format("unpack it with `{}` and give what comes out{}", command,
                              format == F::kTar ? ", or name it .tar" : "")};
  if (format == F::kNpy || format == F::kPickle || format == F::kHdf5)
    return {what, write};
  if (is_read(format)) return {what, "give the folder it is in, or a list"};
  if (format == F::kJson) return {what, "give the folder of the images it is about"};
  if (format != F::kUnknown) return {what, std::string(format_remedy(format))};
  if (bytes.size() > 12) {
    const std::uint64_t length = little_endian(bytes);
    // The length of the first record; an Example begins with its first field.
    if (length > 0 && length < std::uint64_t{1} << 31 && bytes[12] == 0x0A)
      return {"a TFRecord file", write};
    if (length > 1 && length < 100'000'000 && bytes[8] == '{' &&
        (bytes[9] == '"' || bytes[9] == '}'))
      return {"a safetensors file", "that holds weights or features, give images"};
  }
  return {};
}

ForeignData foreign_file(const std::string& path) {
  try {
    const FileReader file(path);
    std::vector<std::uint8_t> first(std::min<std::uint64_t>(file.size(), kSniffBytes));
    file.read(0, std::as_writable_bytes(std::span(first)));
    return foreign_data(fs::path(path).filename().string(), first);
  } catch (const Error&) {
    return {};
  }
}

std::string but_is(const std::string& path) {
  const ForeignData data = foreign_file(path);
  return data ? "; it is " + data.text() : "";
}

std::string downloaded_records(const std::string& path) {
  const fs::path at = path;
  std::error_code ignored;
  const auto text = [](const fs::path& found, const Download& d) {
    return fmt::format("{} is {}", found.string(), described(d).text());
  };
  for (const Download& d : kDownloads) {
    const std::string archive(d.archive), folder(d.folder), file(d.file);
    if (fs::is_regular_file(at, ignored)) {
      const std::string name = at.filename().string();
      if (name.starts_with(archive) && name.find(".t") != name.npos) return text(at, d);
      continue;
    }
    const bool hundred = d.archive == "cifar-100-python";
    if (!d.file.empty() && fs::is_regular_file(at / file, ignored) &&
        (!hundred || fs::is_regular_file(at / "meta", ignored)))
      return text(at, d);
    if (!d.file.empty() && fs::is_regular_file(at / folder / file, ignored))
      return text(at / folder, d);
    if (fs::is_regular_file(at / (archive + ".tar.gz"), ignored))
      return text(at / (archive + ".tar.gz"), d);
  }
  return {};
}

}  // namespace music::data
