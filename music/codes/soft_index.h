#pragma once
// Search among soft codes: the images whose units, drawn from their q, agree with
// a given one's in most segments: sum over segments of q_a . q_b.
//
// Of each segment the kKept likeliest units are stored, each with 255 q rounded;
// what is searched is exact for these numbers. The q that is left out is not
// counted: an expected agreement is too small by at most the product of what both
// leave out. An image takes 2 kKept bytes a segment (of up to 256 units).

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "music/codes/top_matches.h"
#include "music/eval/codes.h"

namespace music {

// [S, kKept] each, by rows: units within their segment, likeliest first, of equals
// the first; the weight 0 with the unit 0 where there are no more.
struct SoftCode {
  std::vector<std::uint16_t> units;
  std::vector<std::uint8_t> weights;
};

class SoftIndex {
 public:
  static constexpr int kKept = 3;
  // A score is this times the segments that are expected to agree.
  static constexpr double kScale = 255.0 * 255.0;

  explicit SoftIndex(const Segments& segments, std::int64_t images = 0);

  // Of q [segments.units()], probabilities.
  static SoftCode keep(const float* q, const Segments& segments);
  // Throws kData for a unit that its segment has not.
  void add(const SoftCode& code);

  std::int64_t size() const { return size_; }
  SoftCode code(std::int64_t image) const;

  // As of CodeIndex, by score.
  std::vector<CodeMatch> find(const SoftCode& code, std::int64_t k,
                              std::int64_t except = -1) const;
  void neighbours(std::int64_t k, std::span<CodeMatch> out,
                  const std::function<void(double)>& done = nullptr) const;

 private:
  template <typename T>
  const std::vector<T>& units() const;
  template <typename T>
  std::vector<CodeMatch> find_in(const SoftCode& code, std::int64_t k,
                                 std::int64_t except) const;
  template <typename T>
  void neighbours_in(std::int64_t k, std::span<CodeMatch> out,
                     const std::function<void(double)>& done) const;

  Segments segments_;
  CodeWidth width_;
  std::int64_t size_ = 0;
  std::vector<std::uint8_t> narrow_;  // [tiles, S, kKept, kCodeTile], one of the two
  std::vector<std::uint16_t> wide_;
  std::vector<std::uint8_t> weights_;  // the same shape
};

}  // namespace music
