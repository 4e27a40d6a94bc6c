#pragma once
// Average precision of a ranking. Images with equal scores come at once, so the
// order of the list never decides.

#include <cstdint>
#include <span>

namespace music {

// targets: 1 positive, -1 negative, 0 left out. NaN where there is no positive;
// kData for a score that is not a number.
//
// sum over thresholds of (recall - recall before) * precision: scikit-learn's
// average_precision_score, by which costs are chosen.
double average_precision(std::span<const double> scores,
                         std::span<const std::int8_t> targets);
// The area under precision made to fall with recall (each the best of all higher
// recalls): VOC since 2010, which the VOC07 figures of self-supervised
// papers are. Not the 11-point average of VOC2007's own script.
double envelope_precision(std::span<const double> scores,
                          std::span<const std::int8_t> targets);

}  // namespace music
