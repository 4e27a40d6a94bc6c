#include "data/fast/colour.h"

#include <algorithm>
#include <cmath>

namespace music::data::fast {
namespace {

// In 2^-14, up to 2.
std::uint16_t fixed(double factor) {
  return static_cast<std::uint16_t>(
      std::clamp(std::lround(factor * (1 << 14)), 0l, (1l << 15) - 1));
}

}  // namespace

void ColourSteps::apply(Planes& planes) const {
  for (std::size_t i = 0; i < count_;) {
    ColourRun run;
    for (; i < count_; ++i) {
      const ColourStep& step = steps_[i];
      const bool contrast = step.kind == ColourStep::kContrast;
      std::int16_t grey = 0;
      if (contrast) {
        const double sum = static_cast<double>(apply_run(run, true, planes));
        const double pixels = static_cast<double>(planes.size()) * planes.size();
        grey = static_cast<std::int16_t>(sum / pixels + 0.5);
        run.count = 0;
      }
      run.steps[run.count++] = {
          step.kind, fixed(step.factor),
          static_cast<std::int16_t>(step.factor * 255), grey};
    }
    apply_run(run, false, planes);
  }
}

}  // namespace music::data::fast
