#pragma once
// What each unit of a code stands for, image after image: how many images it wins,
// how sure it is of them, and the images that it is surest of. Memory is that of
// the table, however many images there are.

#include <cstdint>
#include <vector>

#include "music/loss/segments.h"

namespace music {

struct UnitExemplar {
  std::int64_t image = 0;
  float q = 0;
};

class UnitTable {
 public:
  // exemplars: images kept of each unit.
  UnitTable(const Segments& segments, std::int64_t exemplars);

  // The next image: its q [units] and its code [S].
  void add(const float* q, const std::uint16_t* code);

  std::int64_t images() const { return images_; }
  // Images whose code has the unit, counted over all segments.
  std::int64_t count(std::int64_t unit) const {
    return counts_[static_cast<std::size_t>(unit)];
  }
  // Mean q of the unit over these; 0 where there is none.
  double confidence(std::int64_t unit) const;
  // The images of the largest q of the unit, whether or not it wins them: largest
  // first, of equals the one with the lower number.
  std::vector<UnitExemplar> exemplars(std::int64_t unit) const;

 private:
  Segments segments_;
  std::size_t kept_;
  std::int64_t images_ = 0;
  std::vector<std::int64_t> counts_;
  std::vector<double> sums_;
  std::vector<std::vector<UnitExemplar>> exemplars_;  // sorted
};

}  // namespace music
