#pragma once
// Part of a plain JPEG (JpegFrame), with the pixels that libjpeg gives to the
// whole. Entropy decoding runs from the top to the last row that is needed;
// everything behind it runs on the part alone.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "data/fast/jpeg_frame.h"
#include "data/fast/jpeg_scan.h"
#include "data/image.h"
#include "engine/core/buffer.h"

namespace music::data::fast {

// Keeps its buffers between files; one a thread.
class JpegReader {
 public:
  // False: not plain, or damaged; libjpeg decides. bytes outlive read.
  bool open(std::span<const std::uint8_t> bytes);
  int width() const { return frame_.width; }
  int height() const { return frame_.height; }

  // image becomes box, which lies within. Once after open. False: damage.
  bool read(const Box& box, Image& image);

 private:
  // MCUs that box needs, from first to before last.
  struct Range {
    int first, last;
    int count() const { return last - first; }
  };
  // Samples of a component: the last two rows of MCUs.
  struct Strip {
    std::uint8_t* data;
    std::size_t stride;
    int rows, first_row;
    std::uint8_t* row(int y) const {
      return data + stride * static_cast<std::size_t>((y - first_row) % rows);
    }
  };

  void lay_out();
  void transform(int mcu_row);
  void convert(int y, const Box& box, std::uint8_t* rgb);
  const std::uint8_t* chroma(std::size_t component, int y);

  JpegFrame frame_;
  JpegScan scan_;
  Range across_{}, down_{};
  std::array<Strip, 3> strip_{};
  std::vector<CoefficientRow> rows_;
  std::size_t coefficient_bytes_ = 0, last_bytes_ = 0;
  Buffer coefficients_, last_, samples_, upsampled_, scratch_;
};

}  // namespace music::data::fast
