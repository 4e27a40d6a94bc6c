#pragma once
// Masks as run lengths, the format of COCO's files (section 10 of the notes on
// detection; pycocotools' common/maskApi.c gives the same bits).
//
// A mask of height x width pixels is read column by column; its counts are the
// lengths of runs of 0 and of 1 in turn, the first of 0 (0 where the first
// pixel is set). In text a count, from the fourth on its difference to the one
// two before, is a number of 5-bit groups, the lowest first, each a character
// from '0' on.

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace music::detect {

struct Rle {
  std::uint32_t height = 0, width = 0;
  std::vector<std::uint32_t> counts;

  bool operator==(const Rle&) const = default;
};

// The most rows or columns: counts are 32 bits.
inline constexpr std::int64_t kMaxMaskSide = 65535;

// Throws (kData) "..." where the text is no number of groups or the counts do
// not add up to height x width.
Rle rle_from_text(std::string_view text, std::uint32_t height,
                  std::uint32_t width);
std::string rle_to_text(const Rle& mask);
// Throws likewise.
void check_counts(const Rle& mask);

// Pixels row by row, not 0 where set.
Rle rle_from_pixels(std::span<const std::uint8_t> pixels, std::uint32_t height,
                    std::uint32_t width);
std::vector<std::uint8_t> rle_to_pixels(const Rle& mask);

// Pixels that are set.
std::uint64_t rle_area(const Rle& mask);
// x, y, width, height of the smallest box around them; zeros without any.
std::array<double, 4> rle_box(const Rle& mask);

// Of masks of one size, at least one: what is set in any (or in all).
Rle rle_merge(std::span<const Rle> masks, bool intersect = false);

// Intersection over union; `crowd`: over the area of `detection`. 0 where
// nothing intersects. Both are of one size.
double rle_iou(const Rle& detection, const Rle& truth, bool crowd);

}  // namespace music::detect
