#pragma once
// What the codes of a whole split are like: one deterministic view an image,
// batch after batch. Nothing is kept of an image but the surest of each asked
// unit: memory is 4 bytes for each pair of units of two segments (133 MB for 102
// segments of 80 units, 0.5 MB for 16 of 32), however many images there are. The
// result is the same to the bit for batches of any size.

#include <cstdint>
#include <span>
#include <vector>

#include "music/loss/segments.h"

namespace music {

struct CodeStatisticsSpec {
  Segments segments;
  double temperature = 1;           // q = softmax(z / temperature)
  std::vector<std::int64_t> units;  // whose surest images are kept
  std::int64_t per_unit = 10;       // so many
};

// An image that a unit is sure of.
struct SurestImage {
  std::int64_t sample = 0;  // its number in the data set
  float q = 0;
};

class CodeStatistics {
 public:
  // Throws kUsage for a unit that the segments have not.
  explicit CodeStatistics(CodeStatisticsSpec spec);

  // Embeddings z [samples.size(), units] and the numbers of their images. Throws
  // kData for a number that is not finite.
  void add(const float* z, std::span<const std::int64_t> samples);

  const Segments& segments() const { return spec_.segments; }
  std::int64_t images() const { return images_; }
  // Of at least one image:
  std::vector<float> mean_q() const;  // [units]
  // H(mean q) / log D_s of segment s: 1 = all units equally used, 0 = one.
  double usage(std::int64_t s) const;
  // Units of segment s whose mean q is below a twentieth of 1 / D_s.
  std::int64_t dead_units(std::int64_t s) const;
  // Of the images: where this unit is the largest of its segment, the first of
  // equals.
  double share(std::int64_t unit) const;
  // [S,S] by rows, the diagonal NaN: I(s,t) between the hard codes of segments s
  // and t of the same view, over log min(D_s, D_t): 0 = independent, 1 = one tells
  // the other. Of one view, because this is how redundant an image's segments are;
  // of two, what differs between the views would hide it. The plug-in estimate is
  // corrected after Miller and Madow, by (K_s + K_t - K_st - 1) / 2n nats with K
  // the numbers of cells that occur; so what is independent may be a little below
  // 0. It is too large where n is not well above D_s D_t.
  std::vector<double> mutual_information() const;
  // The same without the correction.
  std::vector<double> plug_in_information() const;
  // Of spec.units[i], the surest first, of equals the one with the lower number.
  std::vector<SurestImage> surest(std::size_t i) const;

  // What is held, but for a batch's buffers.
  std::size_t bytes() const;

 private:
  std::vector<double> information(bool corrected) const;
  void keep_surest(const float* q, std::int64_t sample);
  void count_pairs(std::int64_t n);

  CodeStatisticsSpec spec_;
  std::int64_t images_ = 0;
  std::vector<double> sums_;          // [units] of q
  std::vector<std::uint32_t> wins_;   // [units]
  std::vector<std::size_t> pair_at_;  // where the cells of s < t begin
  std::vector<std::uint32_t> pairs_;  // [D_s, D_t] of each pair s < t
  std::vector<std::uint16_t> codes_;  // of a batch, [S, n]
  std::vector<float> q_;              // of an image
  std::vector<std::vector<SurestImage>> surest_;  // heaps, the least on top
};

}  // namespace music
