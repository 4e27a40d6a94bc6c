#pragma once
// The entropy-coded part of a plain JPEG, MCU row by MCU row, to coefficients.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "data/fast/huffman.h"
#include "data/fast/jpeg_frame.h"

namespace music::data::fast {

// Coefficients of one row of blocks, in groups of four neighbours: eight rows a
// group, each with a row of every block.
struct CoefficientRow {
  static constexpr std::size_t kBlocks = 4, kGroup = kBlocks * 64;

  std::int16_t* data = nullptr;
  // A group's highest zigzag position with a coefficient.
  std::uint8_t* last = nullptr;

  std::int16_t* block(std::size_t b) const {
    return data + b / kBlocks * kGroup + b % kBlocks * 8;
  }
};

class JpegScan {
 public:
  // bytes: all after the scan's header. False: the scan does not end in the
  // image's end, or its restarts or tables are not in order.
  bool open(std::span<const std::uint8_t> bytes, const JpegFrame& frame);

  // Decodes the next row of MCUs, keeping those from first to before last.
  // rows: the block rows of the first component, then of the others; zeroed.
  // False: damage.
  bool row(int first, int last, std::span<const CoefficientRow> rows);

 private:
  // Beyond the bytes of a scan: what an MCU of nothing but longest codes reads.
  static constexpr std::size_t kSlack = 2048;

  struct Part {  // between restarts; offsets into clean_
    std::size_t begin, end;
  };

  bool remove_stuffing(std::span<const std::uint8_t> bytes);
  void next_part();
  template <bool kKeep>
  bool mcu(int at, std::span<const CoefficientRow> rows);

  const JpegFrame* frame_ = nullptr;
  HuffmanTable dc_[4], ac_[4];
  std::vector<std::uint8_t> clean_;
  std::vector<Part> parts_;
  std::size_t part_ = 0;  // the next to begin
  int mcus_left_ = 0;     // of the part
  const std::uint8_t* end_ = nullptr;
  BitReader reader_{nullptr};
  std::array<std::int16_t, 3> dc_sum_{};
};

}  // namespace music::data::fast
