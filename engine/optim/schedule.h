#pragma once
// Learning rate as a pure function of the step: linear warm-up from 0 (the
// first step has rate 0), then one of three curves.
//   cosine        to a final value, step by step: VICReg's
//   epoch_cosine  the same curve at the beginning of each epoch, and constant in
//                 it: torch's CosineAnnealingLR, stepped once an epoch
//   steps         times `factor` from each milestone on: torch's MultiStepLR

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "engine/core/error.h"

namespace music {

enum class ScheduleKind { kCosine, kEpochCosine, kSteps };

struct ScheduleSpec {
  double base_lr = 0.6;          // per 256 samples
  std::int64_t batch = 2048;     // peak = base_lr * batch / 256
  double warmup_epochs = 10;
  double final_ratio = 0.001;    // final = final_ratio * peak, unless
  double final_absolute = -1;    // >= 0: the final rate itself
  ScheduleKind kind = ScheduleKind::kCosine;
  std::vector<std::int64_t> milestones = {};  // epochs, of kSteps
  double factor = 0.1;
};

struct Schedule {
  double peak = 0, final = 0;
  std::int64_t warmup_steps = 0, total_steps = 0;

  Schedule() = default;
  Schedule(const ScheduleSpec& spec, std::int64_t steps_per_epoch,
           std::int64_t epochs)
      : peak(spec.base_lr * static_cast<double>(spec.batch) / 256.0),
        final(spec.final_absolute >= 0 ? spec.final_absolute
                                       : spec.final_ratio * peak),
        warmup_steps(static_cast<std::int64_t>(
            std::llround(spec.warmup_epochs * static_cast<double>(steps_per_epoch)))),
        total_steps(epochs * steps_per_epoch),
        spec_(spec),
        steps_per_epoch_(steps_per_epoch) {
    MUSIC_CHECK(steps_per_epoch > 0 && epochs >= 0,
                "[schedule] {} steps per epoch, {} epochs", steps_per_epoch,
                epochs);
  }

  double rate(std::int64_t step) const {
    if (step < warmup_steps)
      return peak * static_cast<double>(step) / static_cast<double>(warmup_steps);
    if (spec_.kind == ScheduleKind::kSteps) return peak * steps_factor(step);
    // An epoch that the warm-up ends in begins behind it.
    if (spec_.kind == ScheduleKind::kEpochCosine)
      step = std::max(step / steps_per_epoch_ * steps_per_epoch_, warmup_steps);
    const std::int64_t span = total_steps - warmup_steps;
    const double t = span > 0 ? static_cast<double>(step - warmup_steps) /
                                    static_cast<double>(span)
                              : 1.0;
    const double q = 0.5 * (1 + std::cos(3.14159265358979323846 * std::fmin(t, 1.0)));
    return peak * q + final * (1 - q);
  }

  // The same where the peak is 1.
  double share(std::int64_t step) const {
    Schedule unit = *this;
    unit.peak = 1;
    unit.final = peak > 0 ? final / peak : 0;
    return unit.rate(step);
  }

 private:
  double steps_factor(std::int64_t step) const {
    const std::int64_t epoch = step / steps_per_epoch_;
    double factor = 1;
    for (const std::int64_t m : spec_.milestones)
      if (epoch >= m) factor *= spec_.factor;
    return factor;
  }

  ScheduleSpec spec_;
  std::int64_t steps_per_epoch_ = 1;
};

}  // namespace music
