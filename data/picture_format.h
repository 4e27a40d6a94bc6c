#pragma once
// Which format a picture has: by its first bytes, which decide, or by its name's
// extension, which says only what somebody took for a picture. JPEG, PNG and WebP
// are read; the rest is known by name, to be refused with a way to convert it.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace music::data {

enum class PictureFormat : std::uint8_t {
  kUnknown,
  kJpeg, kPng, kWebp,  // read
  // Pictures that are not.
  kBmp, kGif, kTiff, kJpeg2000, kJpegXl, kJpegLs, kJpegXr, kAvif, kHeic, kPnm,
  kPsd, kIco, kTga, kQoi, kDds, kExr, kHdr, kDicom, kFits, kRaw, kSvg,
  // What lies in the place of pictures.
  kLfsPointer, kHtml, kJson, kBase64, kGzip, kBzip2, kXz, kZstd, kZip, kTar, kRar,
  k7zip, kPdf, kVideo, kNpy, kPickle, kHdf5, kAppleDouble,
  kAsText, kZeros
};

// These many first bytes tell as much as the whole file.
inline constexpr std::size_t kSniffBytes = 512;
PictureFormat picture_format(std::span<const std::uint8_t> bytes);

constexpr bool is_read(PictureFormat format) {
  return format >= PictureFormat::kJpeg && format <= PictureFormat::kWebp;
}

// With its article: "a JPEG", "an AVIF picture"; kUnknown: "no known picture".
std::string_view format_name(PictureFormat format);
// What to do about one that is not read: "mogrify -format png FILE converts it";
// empty for kUnknown and those that are read.
std::string_view format_remedy(PictureFormat format);
// Those that are read, for messages.
inline constexpr std::string_view kReadFormats = "JPEG, PNG or WebP";
inline constexpr std::string_view kReadExtensions = ".jpg, .jpeg, .png or .webp";

// "a BMP, expected JPEG, PNG or WebP: `mogrify ...` converts it". One line.
std::string refusal(PictureFormat format);
// The same of the bytes' format; of an unknown one what it begins with.
std::string refusal(std::span<const std::uint8_t> bytes);

// The format that an extension stands for, in any case, with or without its
// dot: "jpg", ".JPEG", "jfif". kUnknown: no picture's.
PictureFormat format_of_extension(std::string_view extension);
// Of one that is read: "jpg", "png", "webp".
std::string_view format_extension(PictureFormat format);

}  // namespace music::data
