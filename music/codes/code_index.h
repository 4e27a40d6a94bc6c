#pragma once
// Search among segment codes: exact, in one pass over the columns it needs.
//
// Codes lie in tiles of kCodeTile images, in each of them segment by segment, so that
// a query is one stream of bytes through memory, its counters stay in the first
// cache, and a segment that it does not ask for is not read. An image of 102
// segments of up to 256 units takes 102 bytes.

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "music/codes/top_matches.h"
#include "music/eval/codes.h"

namespace music {

struct SegmentUnit {
  int segment = 0, unit = 0;  // the unit's place within its segment
};

struct CodeQuery {
  std::vector<SegmentUnit> same, different;  // all have to hold
  // Matches are ranked by how many of these segments agree with the code [S].
  std::vector<std::uint16_t> code;
  std::vector<int> ranked;
  std::int64_t except = -1;  // an image that is no match
};

struct SegmentPostings;

class CodeIndex {
 public:
  // Room is made for so many images at once.
  explicit CodeIndex(const Segments& segments, std::int64_t images = 0);

  // The next image's code [S]. Throws kData for a unit that its segment has not.
  void add(std::span<const std::uint16_t> code);

  std::int64_t size() const { return size_; }
  const Segments& segments() const { return segments_; }
  std::vector<std::uint16_t> code(std::int64_t image) const;

  SegmentPostings postings(std::int64_t segment) const;

  // The k best that satisfy the query (fewer where there are not so many), by
  // agreement, equal ones by their number. Throws kUsage for a segment or unit
  // that is not there.
  std::vector<CodeMatch> find(const CodeQuery& query, std::int64_t k) const;

  // The k images whose codes agree with each image's in most segments, itself
  // left out: out [size(), k], k < size(). done: the share of the work.
  void neighbours(std::int64_t k, std::span<CodeMatch> out,
                  const std::function<void(double)>& done = nullptr) const;

 private:
  template <typename T>
  const std::vector<T>& tiles() const;
  template <typename T>
  std::vector<CodeMatch> find_in(const CodeQuery& query, std::int64_t k) const;
  template <typename T>
  void neighbours_in(std::int64_t k, std::span<CodeMatch> out,
                     const std::function<void(double)>& done) const;
  void check(const SegmentUnit& wanted) const;

  Segments segments_;
  CodeWidth width_;
  std::int64_t size_ = 0;
  std::vector<std::uint8_t> narrow_;  // [tiles, S, kCodeTile], one of the two
  std::vector<std::uint16_t> wide_;
};

// The images of each unit of a segment: those of unit u are images[begin[u]] ...
// images[begin[u + 1] - 1], ascending.
struct SegmentPostings {
  std::vector<std::int64_t> begin;   // [units of the segment + 1]
  std::vector<std::int32_t> images;  // [n]
};

}  // namespace music
