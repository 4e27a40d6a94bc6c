#include "data/picture_format.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "engine/core/text.h"

namespace music::data {
namespace {

using namespace std::string_view_literals;
using F = PictureFormat;

struct Known {
  F format;
  std::string_view name, remedy;
};

#define MOGRIFY "`mogrify -format png FILE` converts it"
#define UNPACK(command) "unpack it with `" command "`"
constexpr std::array kKnown{
    Known{F::kUnknown, "no known picture", ""},
    Known{F::kJpeg, "a JPEG", ""},
    Known{F::kPng, "a PNG", ""},
    Known{F::kWebp, "a WebP", ""},
    Known{F::kBmp, "a BMP", MOGRIFY},
    Known{F::kGif, "a GIF", "`convert 'FILE[0]' OUT.png` converts its first frame"},
    Known{F::kTiff, "a TIFF", "`convert 'FILE[0]' OUT.png` converts its first page"},
    Known{F::kJpeg2000, "a JPEG 2000", "`opj_decompress -i FILE -o OUT.png` converts it"},
    Known{F::kJpegXl, "a JPEG XL", "`djxl FILE OUT.png` converts it"},
    Known{F::kJpegLs, "a JPEG-LS", "`ffmpeg -i FILE OUT.png` converts it"},
    Known{F::kJpegXr, "a JPEG XR", "`JxrDecApp -i FILE -o OUT.bmp` converts it to BMP"},
    Known{F::kAvif, "an AVIF", "`avifdec FILE OUT.png` converts it"},
    Known{F::kHeic, "a HEIC", "`heif-convert FILE OUT.png` converts it"},
    Known{F::kPnm, "a PNM (PBM, PGM, PPM)", MOGRIFY},
    Known{F::kPsd, "a Photoshop file", "`convert 'FILE[0]' OUT.png` converts it"},
    Known{F::kIco, "an icon file", "`convert 'FILE[0]' OUT.png` converts it"},
    Known{F::kTga, "a TGA", MOGRIFY},
    Known{F::kQoi, "a QOI", "`ffmpeg -i FILE OUT.png` converts it"},
    Known{F::kDds, "a DDS texture", MOGRIFY},
    Known{F::kExr, "an OpenEXR", "its values have no 8 bits: map them first"},
    Known{F::kHdr, "a Radiance HDR", "its values have no 8 bits: map them first"},
    Known{F::kDicom, "a DICOM", "`dcmj2pnm --write-png FILE OUT.png` converts it"},
    Known{F::kFits, "a FITS", "its values have no 8 bits: map them first"},
    Known{F::kRaw, "a camera's raw file", "`dcraw -c FILE | pnmtopng > OUT.png` converts it"},
    Known{F::kSvg, "an SVG", "`rsvg-convert FILE -o OUT.png` draws it"},
    Known{F::kLfsPointer, "a Git LFS pointer, not the file itself",
          "`git lfs pull` fetches it"},
    Known{F::kHtml, "HTML or XML", "it may be a page that came in place of a download"},
    Known{F::kJson, "JSON", "it may be an answer that came in place of a download"},
    Known{F::kBase64, "a picture as base64 text", "`base64 -d FILE` decodes it"},
    Known{F::kGzip, "a gzip file", UNPACK("gunzip")},
    Known{F::kBzip2, "a bzip2 file", UNPACK("bunzip2")},
    Known{F::kXz, "an xz file", UNPACK("unxz")},
    Known{F::kZstd, "a zstd file", UNPACK("unzstd")},
    Known{F::kZip, "a ZIP archive", UNPACK("unzip")},
    Known{F::kTar, "a tar archive", UNPACK("tar xf")},
    Known{F::kRar, "a RAR archive", UNPACK("unrar x")},
    Known{F::k7zip, "a 7-Zip archive", UNPACK("7z x")},
    Known{F::kPdf, "a PDF or PostScript", "`pdftoppm -png FILE OUT` draws its pages"},
    Known{F::kVideo, "a video", "`ffmpeg -i FILE OUT-%06d.png` takes its frames"},
    Known{F::kNpy, "a NumPy array", "store its pixels as PNG"},
    Known{F::kPickle, "a Python pickle", "store its pixels as PNG"},
    Known{F::kHdf5, "an HDF5 file", "store its pixels as PNG"},
    Known{F::kAppleDouble, "what macOS keeps beside a file", "leave out names with ._"},
    Known{F::kAsText, "a picture that went through text, which changes bytes",
          "fetch it again as binary"},
    Known{F::kZeros, "nothing but zeros", "it may be a download or a copy that was cut off"},
};
#undef MOGRIFY
#undef UNPACK

constexpr bool in_order() {
  for (std::size_t i = 0; i < kKnown.size(); ++i)
    if (kKnown[i].format != static_cast<F>(i)) return false;
  return kKnown.back().format == F::kZeros;
}
static_assert(in_order());

struct Magic {
  std::size_t at;
  std::string_view bytes;
  F format;
};
// The first that fits; before those with less to go by.
constexpr std::array kMagics{
    Magic{0, "\xFF\xD8\xFF\xF7"sv, F::kJpegLs},
    Magic{0, "\xFF\xD8\xFF"sv, F::kJpeg},
    Magic{0, "\x89PNG\r\n\x1A\n"sv, F::kPng},
    Magic{0, "GIF8"sv, F::kGif},
    Magic{0, "II*\0\x10\0\0\0CR"sv, F::kRaw},  // Canon
    Magic{0, "II*\0"sv, F::kTiff},
    Magic{0, "MM\0*"sv, F::kTiff},
    Magic{0, "II+\0"sv, F::kTiff},  // with 64-bit offsets
    Magic{0, "MM\0+"sv, F::kTiff},
    Magic{0, "II\xBC"sv, F::kJpegXr},
    Magic{0, "IIRO"sv, F::kRaw},  // Olympus
    Magic{0, "IIU\0"sv, F::kRaw},  // Panasonic
    Magic{0, "FUJIFILMCCD-RAW"sv, F::kRaw},
    Magic{0, "\0\0\0\x0CjP  \r\n\x87\n"sv, F::kJpeg2000},
    Magic{0, "\xFF\x4F\xFF\x51"sv, F::kJpeg2000},
    Magic{0, "\0\0\0\x0CJXL \r\n\x87\n"sv, F::kJpegXl},
    Magic{0, "\xFF\x0A"sv, F::kJpegXl},
    Magic{0, "8BPS"sv, F::kPsd},
    Magic{0, "\0\0\2\0\0\0\0\0"sv, F::kTga},
    Magic{0, "\0\0\x0A\0\0\0\0\0"sv, F::kTga},
    Magic{0, "\0\0\1\0"sv, F::kIco},
    Magic{0, "\0\0\2\0"sv, F::kIco},
    Magic{0, "qoif"sv, F::kQoi},
    Magic{0, "DDS "sv, F::kDds},
    Magic{0, "v/1\1"sv, F::kExr},
    Magic{0, "#?RADIANCE"sv, F::kHdr},
    Magic{0, "#?RGBE"sv, F::kHdr},
    Magic{128, "DICM"sv, F::kDicom},
    Magic{0, "SIMPLE  ="sv, F::kFits},
    Magic{0, "version https://git-lfs"sv, F::kLfsPointer},
    Magic{0, "/9j/"sv, F::kBase64},
    Magic{0, "iVBORw0KGgo"sv, F::kBase64},
    Magic{0, "UklGR"sv, F::kBase64},
    Magic{0, "data:image/"sv, F::kBase64},
    Magic{0, "\x1F\x8B"sv, F::kGzip},
    Magic{0, "BZh"sv, F::kBzip2},
    Magic{0, "\xFD" "7zXZ\0"sv, F::kXz},
    Magic{0, "\x28\xB5\x2F\xFD"sv, F::kZstd},
    Magic{0, "PK\3\4"sv, F::kZip},
    Magic{0, "PK\5\6"sv, F::kZip},
    Magic{0, "Rar!\x1A\7"sv, F::kRar},
    Magic{0, "7z\xBC\xAF\x27\x1C"sv, F::k7zip},
    Magic{257, "ustar"sv, F::kTar},
    Magic{0, "%PDF"sv, F::kPdf},
    Magic{0, "%!PS"sv, F::kPdf},
    Magic{0, "\x89PNG\n"sv, F::kAsText},  // line ends changed
    Magic{0, "\x89PNG\r\n\x1A\r"sv, F::kAsText},
    Magic{0, "\xEF\xBF\xBD\xEF\xBF\xBD"sv, F::kAsText},  // decoded as UTF-8
    Magic{0, "\xEF\xBF\xBDPNG"sv, F::kAsText},
    Magic{0, "\xC3\xBF\xC3\x98\xC3\xBF"sv, F::kAsText},  // encoded as it
    Magic{0, "\xC2\x89PNG"sv, F::kAsText},
    Magic{0, "\x1A\x45\xDF\xA3"sv, F::kVideo},  // Matroska, WebM
    Magic{0, "OggS"sv, F::kVideo},
    Magic{0, "\0\0\1\xBA"sv, F::kVideo},  // MPEG
    Magic{0, "\0\0\1\xB3"sv, F::kVideo},
    Magic{0, "\x93NUMPY"sv, F::kNpy},
    Magic{0, "\x89HDF\r\n\x1A\n"sv, F::kHdf5},
    Magic{0, "\0\5\x16\7"sv, F::kAppleDouble},
    Magic{0, "BM"sv, F::kBmp},
};

struct PictureExtension {
  std::string_view name;
  F format;
};
constexpr std::array kPictureExtensions{
    PictureExtension{"jpg", F::kJpeg}, PictureExtension{"jpeg", F::kJpeg},
    PictureExtension{"jpe", F::kJpeg}, PictureExtension{"jfif", F::kJpeg},
    PictureExtension{"jif", F::kJpeg}, PictureExtension{"pjpeg", F::kJpeg},
    PictureExtension{"pjp", F::kJpeg}, PictureExtension{"mpo", F::kJpeg},
    PictureExtension{"png", F::kPng}, PictureExtension{"apng", F::kPng},
    PictureExtension{"webp", F::kWebp},
    PictureExtension{"bmp", F::kBmp}, PictureExtension{"dib", F::kBmp},
    PictureExtension{"gif", F::kGif}, PictureExtension{"tif", F::kTiff},
    PictureExtension{"tiff", F::kTiff}, PictureExtension{"jp2", F::kJpeg2000},
    PictureExtension{"j2k", F::kJpeg2000}, PictureExtension{"j2c", F::kJpeg2000},
    PictureExtension{"jpc", F::kJpeg2000}, PictureExtension{"jpf", F::kJpeg2000},
    PictureExtension{"jpx", F::kJpeg2000}, PictureExtension{"jxl", F::kJpegXl},
    PictureExtension{"jls", F::kJpegLs}, PictureExtension{"jxr", F::kJpegXr},
    PictureExtension{"wdp", F::kJpegXr}, PictureExtension{"avif", F::kAvif},
    PictureExtension{"avifs", F::kAvif}, PictureExtension{"heic", F::kHeic},
    PictureExtension{"heif", F::kHeic}, PictureExtension{"hif", F::kHeic},
    PictureExtension{"pbm", F::kPnm}, PictureExtension{"pgm", F::kPnm},
    PictureExtension{"ppm", F::kPnm}, PictureExtension{"pnm", F::kPnm},
    PictureExtension{"pam", F::kPnm}, PictureExtension{"pfm", F::kPnm},
    PictureExtension{"psd", F::kPsd}, PictureExtension{"ico", F::kIco},
    PictureExtension{"tga", F::kTga}, PictureExtension{"qoi", F::kQoi},
    PictureExtension{"dds", F::kDds}, PictureExtension{"exr", F::kExr},
    PictureExtension{"hdr", F::kHdr}, PictureExtension{"dcm", F::kDicom},
    PictureExtension{"fits", F::kFits}, PictureExtension{"svg", F::kSvg},
    PictureExtension{"cr2", F::kRaw}, PictureExtension{"cr3", F::kRaw},
    PictureExtension{"nef", F::kRaw}, PictureExtension{"arw", F::kRaw},
    PictureExtension{"dng", F::kRaw}, PictureExtension{"orf", F::kRaw},
    PictureExtension{"rw2", F::kRaw}, PictureExtension{"raf", F::kRaw},
};

bool has_at(std::span<const std::uint8_t> bytes, std::size_t at,
         std::string_view magic) {
  return bytes.size() >= at + magic.size() &&
         std::equal(magic.begin(), magic.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at),
                    [](char a, std::uint8_t b) {
                      return static_cast<std::uint8_t>(a) == b;
                    });
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// ISO base media: the brands of its first box.
F iso_media(std::span<const std::uint8_t> bytes) {
  constexpr std::array<std::string_view, 9> kHeic{
      "heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1", "mif2"};
  const std::size_t box =
      std::min<std::size_t>(bytes.size(), std::size_t{bytes[2]} << 8 | bytes[3]);
  bool heic = false;
  for (std::size_t at = 8; at + 4 <= box; at += 4) {
    if (has_at(bytes, at, "avif") || has_at(bytes, at, "avis")) return F::kAvif;
    if (has_at(bytes, at, "crx ")) return F::kRaw;
    for (const std::string_view brand : kHeic) heic = heic || has_at(bytes, at, brand);
  }
  return heic ? F::kHeic : F::kVideo;
}

// Text: what it begins with, behind white space and the mark of its order.
F text_format(std::span<const std::uint8_t> bytes) {
  std::string begin;
  for (const std::uint8_t b : bytes) begin += lower(static_cast<char>(b));
  std::string_view rest = begin;
  if (rest.starts_with("\xEF\xBB\xBF")) rest.remove_prefix(3);
  rest.remove_prefix(std::min(rest.find_first_not_of(" \t\r\n"), rest.size()));
  if (rest.starts_with('<')) return rest.find("<svg") != rest.npos ? F::kSvg : F::kHtml;
  if (rest.starts_with("{\"") || rest.starts_with("[{")) return F::kJson;
  return F::kUnknown;
}

}  // namespace

PictureFormat picture_format(std::span<const std::uint8_t> bytes) {
  if (has_at(bytes, 0, "\xFF\xD8\xFF"sv) && bytes.size() > 3 && bytes[3] != 0xF7)
    return F::kJpeg;  // most of all pictures
  bytes = bytes.first(std::min(bytes.size(), kSniffBytes));
  if (has_at(bytes, 0, "RIFF"))
    return has_at(bytes, 8, "WEBP") ? F::kWebp
           : has_at(bytes, 8, "AVI ") ? F::kVideo : F::kUnknown;
  if (has_at(bytes, 4, "ftyp")) return iso_media(bytes);
  for (const Magic& magic : kMagics)
    if (has_at(bytes, magic.at, magic.bytes)) return magic.format;
  if (bytes.size() >= 3 && bytes[0] == 'P' &&
      ((bytes[1] >= '1' && bytes[1] <= '7') || bytes[1] == 'F' || bytes[1] == 'f') &&
      (bytes[2] == '\n' || bytes[2] == ' ' || bytes[2] == '\r' || bytes[2] == '\t'))
    return F::kPnm;
  if (bytes.size() >= 3 && bytes[0] == 0x80 && bytes[1] >= 2 && bytes[1] <= 5)
    return F::kPickle;
  if (!bytes.empty() && std::all_of(bytes.begin(), bytes.end(),
                                    [](std::uint8_t b) { return b == 0; }))
    return F::kZeros;
  return text_format(bytes);
}

std::string_view format_name(PictureFormat format) {
  return kKnown[static_cast<std::size_t>(format)].name;
}

std::string_view format_remedy(PictureFormat format) {
  return kKnown[static_cast<std::size_t>(format)].remedy;
}

std::string refusal(PictureFormat format) {
  return fmt::format("{}, expected {}: {}", format_name(format), kReadFormats,
                     format_remedy(format));
}

std::string refusal(std::span<const std::uint8_t> bytes) {
  const PictureFormat format = picture_format(bytes);
  if (format != F::kUnknown) return refusal(format);
  const auto begin = bytes.first(std::min<std::size_t>(bytes.size(), 16));
  std::string seen;
  if (std::all_of(begin.begin(), begin.end(),
                  [](std::uint8_t b) { return (b >= ' ' && b < 0x7F) || b == '\n'; })) {
    seen = fmt::format(
        " {}", in_quotes({reinterpret_cast<const char*>(begin.data()), begin.size()}));
  } else {
    for (const std::uint8_t b : begin.first(std::min<std::size_t>(begin.size(), 4)))
      seen += fmt::format(" {:02x}", b);
  }
  return fmt::format("{}, expected {}: begins with{}", format_name(format), kReadFormats,
                     seen);
}

PictureFormat format_of_extension(std::string_view extension) {
  if (extension.starts_with('.')) extension.remove_prefix(1);
  const auto same = [extension](const PictureExtension& e) {
    return std::equal(e.name.begin(), e.name.end(), extension.begin(),
                      extension.end(),
                      [](char a, char b) { return a == lower(b); });
  };
  const auto found = std::find_if(kPictureExtensions.begin(), kPictureExtensions.end(), same);
  return found == kPictureExtensions.end() ? F::kUnknown : found->format;
}

std::string_view format_extension(PictureFormat format) {
  switch (format) {
    case F::kJpeg: return "jpg";
    case F::kPng: return "png";
    case F::kWebp: return "webp";
    default: return "";
  }
}

}  // namespace music::data
