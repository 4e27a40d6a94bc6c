#pragma once
// What the headers of a plain JPEG say: baseline or extended sequential Huffman
// coding, 8 bits, one scan, gray or YCbCr at 4:4:4, 4:2:2 or 4:2:0 (ITU-T T.81).
// Everything else, damage included, is left to libjpeg, which data/jpeg wraps.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace music::data::fast {

// A DHT table as the file has it: counts of codes by length, symbols.
struct HuffmanSpec {
  std::array<std::uint8_t, 16> counts{};
  std::array<std::uint8_t, 256> symbols{};
  bool defined = false;

  bool operator==(const HuffmanSpec&) const = default;
};

struct JpegComponent {
  int across = 1, down = 1;  // blocks of an MCU
  int id = 0;
  std::size_t quant = 0, dc = 0, ac = 0;  // tables
  int width = 0, height = 0;              // samples that count
};

struct JpegFrame {
  int width = 0, height = 0, components = 0;
  std::array<JpegComponent, 3> component;
  int mcu_width = 0, mcu_height = 0;  // pixels
  int mcus_across = 0, mcus_down = 0;
  int restart_interval = 0;  // MCUs; 0: none
  std::array<std::array<std::int16_t, 64>, 4> quant;  // in rows, not zigzag
  std::array<bool, 4> quant_defined{};
  std::array<HuffmanSpec, 4> dc, ac;
  std::size_t scan = 0;  // where the entropy-coded bytes begin

  std::span<JpegComponent> used() {
    return std::span(component).first(static_cast<std::size_t>(components));
  }
  std::span<const JpegComponent> used() const {
    return std::span(component).first(static_cast<std::size_t>(components));
  }

  // False: not plain, or damaged.
  bool parse(std::span<const std::uint8_t> bytes);
};

// Zigzag position to position in rows.
extern const std::array<std::uint8_t, 64> kZigzag;

}  // namespace music::data::fast
