#pragma once
// The colour operations of data/colour.h on planes, with its rounding to 8 bits
// after each, in 16-bit SIMD. Neighbouring operations run together on strips
// that stay in the first-level cache; contrast needs a sum over the whole image
// first, so it begins a new run.
//
// A factor has 14 fraction bits, hue is computed in single precision: against
// data/colour.h at most 1 of 255 an operation except where hue's sectors meet,
// mean below 0.05 (tested). The same bytes on every instruction set.

#include <array>
#include <cstddef>
#include <cstdint>

#include "data/fast/planes.h"

namespace music::data::fast {

struct ColourStep {
  enum Kind : std::uint8_t {
    kBrightness, kContrast, kSaturation, kHue, kGrayscale, kSolarize
  };
  Kind kind;
  double factor = 0;  // as in data/colour.h
};

// Some operations, in order.
class ColourSteps {
 public:
  void add(ColourStep::Kind kind, double factor = 0) {
    steps_[count_++] = {kind, factor};
  }
  // In place.
  void apply(Planes& planes) const;

 private:
  std::array<ColourStep, 8> steps_{};
  std::size_t count_ = 0;
};

// The kernels: steps with their factors in fixed point; of kContrast, grey is
// the mean. Returns the sum of the grey of all pixels afterwards, if wanted.
struct ColourRun {
  struct Step {
    ColourStep::Kind kind;
    std::uint16_t factor;  // 2^-14
    std::int16_t hue;      // 1/255 of a turn
    std::int16_t grey;
  };
  std::array<Step, 8> steps;
  std::size_t count = 0;
};
std::uint64_t apply_run(const ColourRun& run, bool sum, Planes& planes);

}  // namespace music::data::fast
