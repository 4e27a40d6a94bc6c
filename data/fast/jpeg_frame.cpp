#include "data/fast/jpeg_frame.h"

#include <algorithm>
#include <string_view>

namespace music::data::fast {

const std::array<std::uint8_t, 64> kZigzag{
    0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,
    12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6,  7,  14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
    58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63};

namespace {

// The bytes of one marker segment.
class Reader {
 public:
  explicit Reader(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

  std::size_t left() const { return bytes_.size() - at_; }
  // 0 beyond the end, which ok() then tells.
  int byte() {
    if (at_ < bytes_.size()) return bytes_[at_++];
    ok_ = false;
    return 0;
  }
  int word() {
    const int high = byte();
    return high << 8 | byte();
  }
  bool ok() const { return ok_; }
  bool begins_with(std::string_view text) const {
    return bytes_.size() >= text.size() &&
           std::equal(text.begin(), text.end(), bytes_.begin(),
                      [](char a, std::uint8_t b) {
                        return static_cast<std::uint8_t>(a) == b;
                      });
  }

 private:
  std::span<const std::uint8_t> bytes_;
  std::size_t at_ = 0;
  bool ok_ = true;
};

bool read_quant(Reader in, JpegFrame& frame) {
  while (in.left() > 0) {
    const int which = in.byte();  // precision of 8 bits: upper half 0
    if (which > 3) return false;
    const auto table = static_cast<std::size_t>(which);
    frame.quant_defined[table] = true;
    for (std::uint8_t to : kZigzag)
      frame.quant[table][to] = static_cast<std::int16_t>(in.byte());
  }
  return in.ok();
}

bool read_huffman(Reader in, JpegFrame& frame) {
  while (in.left() > 0) {
    const int which = in.byte();
    if ((which & ~0x13) != 0) return false;
    HuffmanSpec& table =
        (which & 0x10 ? frame.ac : frame.dc)[static_cast<std::size_t>(which) &
                                             3];
    table = {};
    table.defined = true;
    int total = 0;
    for (std::uint8_t& count : table.counts)
      total += count = static_cast<std::uint8_t>(in.byte());
    if (total > 256) return false;
    for (int i = 0; i < total; ++i)
      table.symbols[static_cast<std::size_t>(i)] =
          static_cast<std::uint8_t>(in.byte());
  }
  return in.ok();
}

bool read_frame(Reader in, JpegFrame& frame) {
  if (frame.components != 0 || in.byte() != 8) return false;
  frame.height = in.word();
  frame.width = in.word();
  frame.components = in.byte();
  if (frame.width == 0 || frame.height == 0) return false;
  if (frame.components != 1 && frame.components != 3) return false;
  for (JpegComponent& c : frame.used()) {
    c.id = in.byte();
    const int sampling = in.byte();
    c.across = sampling >> 4;
    c.down = sampling & 15;
    c.quant = static_cast<std::size_t>(in.byte());
    // Unused with one component, but libjpeg refuses others.
    if (c.across < 1 || c.across > 4 || c.down < 1 || c.down > 4) return false;
    if (c.quant > 3) return false;
  }
  if (frame.components == 1) {
    frame.component[0].across = frame.component[0].down = 1;
  } else {
    const auto& [y, cb, cr] = frame.component;
    if (cb.across != 1 || cb.down != 1 || cr.across != 1 || cr.down != 1)
      return false;
    if (y.across < 1 || y.across > 2 || y.down < 1 || y.down > y.across)
      return false;
  }
  const auto divide_up = [](int a, int b) { return (a + b - 1) / b; };
  const JpegComponent& first = frame.component[0];
  frame.mcu_width = 8 * first.across;
  frame.mcu_height = 8 * first.down;
  frame.mcus_across = divide_up(frame.width, frame.mcu_width);
  frame.mcus_down = divide_up(frame.height, frame.mcu_height);
  for (JpegComponent& c : frame.component) {
    c.width = divide_up(frame.width * c.across, first.across);
    c.height = divide_up(frame.height * c.down, first.down);
  }
  // libjpeg repeats the samples of narrower chroma.
  return frame.components == 1 || first.across == 1 ||
         frame.component[1].width > 2;
}

bool read_scan(Reader in, JpegFrame& frame) {
  if (frame.components == 0 || in.byte() != frame.components) return false;
  for (JpegComponent& c : frame.used()) {
    if (in.byte() != c.id) return false;
    const std::size_t tables = static_cast<std::size_t>(in.byte());
    c.dc = tables >> 4;
    c.ac = tables & 15;
    if (c.dc > 3 || c.ac > 3 || !frame.dc[c.dc].defined ||
        !frame.ac[c.ac].defined || !frame.quant_defined[c.quant])
      return false;
  }
  return in.byte() == 0 && in.byte() == 63 && in.byte() == 0 && in.ok() &&
         in.left() == 0;
}

// libjpeg's rule of what three components are.
bool is_ycbcr(const JpegFrame& frame, bool jfif, int adobe) {
  if (frame.components == 1 || jfif) return true;
  if (adobe >= 0) return adobe == 1;
  const auto& [a, b, c] = frame.component;
  return a.id == 1 && b.id == 2 && c.id == 3;
}

}  // namespace

bool JpegFrame::parse(std::span<const std::uint8_t> bytes) {
  *this = {};
  bool jfif = false;
  int adobe = -1;      // its colour transform
  std::size_t at = 2;  // after the start of image
  while (at + 4 <= bytes.size()) {
    if (bytes[at] != 0xFF) return false;
    const int marker = bytes[at + 1];
    if (marker == 0xFF) {  // fill
      ++at;
      continue;
    }
    // No end, restart or other marker without a length belongs here.
    if (marker < 0xC0 || (marker >= 0xD0 && marker <= 0xD9)) return false;
    const std::size_t length = std::size_t{bytes[at + 2]} << 8 | bytes[at + 3];
    if (length < 2 || at + 2 + length > bytes.size()) return false;
    const Reader in(bytes.subspan(at + 4, length - 2));
    at += 2 + length;
    switch (marker) {
      case 0xC0:
      case 0xC1:
        if (!read_frame(in, *this)) return false;
        break;
      case 0xC4:
        if (!read_huffman(in, *this)) return false;
        break;
      case 0xDB:
        if (!read_quant(in, *this)) return false;
        break;
      case 0xDD: {
        Reader r = in;
        restart_interval = r.word();
        if (!r.ok() || r.left() > 0) return false;
        break;
      }
      case 0xDA:
        if (!read_scan(in, *this) || !is_ycbcr(*this, jfif, adobe))
          return false;
        scan = at;
        return true;
      case 0xE0:
        if (in.begins_with({"JFIF\0", 5}) && in.left() >= 14) jfif = true;
        break;
      case 0xEE:
        if (in.begins_with("Adobe") && in.left() >= 12)
          adobe = bytes[at - length + 2 + 11];
        break;
      default:
        // Application data, comments; other kinds of frames are not plain.
        if ((marker < 0xE0 || marker > 0xEF) && marker != 0xFE) return false;
        break;
    }
  }
  return false;
}

}  // namespace music::data::fast
