#include "music/eval/coco/summary.h"

#include <fmt/format.h>

namespace music::coco {
namespace {

class Mean {
 public:
  void add(double v) {
    if (v <= -1) return;  // no ground truth
    sum_ += v;
    ++count_;
  }
  double value() const {
    return count_ > 0 ? sum_ / static_cast<double>(count_) : -1;
  }

 private:
  double sum_ = 0;
  std::int64_t count_ = 0;
};

void add(const Evaluation& e, const Metric& metric, std::size_t k, Mean& mean) {
  for (std::size_t t = 0; t < kThresholds; ++t) {
    if (metric.threshold >= 0 && t != static_cast<std::size_t>(metric.threshold))
      continue;
    if (!metric.precision)
      mean.add(e.recall_at(t, k, metric.area, metric.limit));
    else
      for (std::size_t r = 0; r < kRecalls; ++r)
        mean.add(e.precision_at(t, r, k, metric.area, metric.limit));
  }
}

}  // namespace

std::array<double, 12> summarise(const Evaluation& e) {
  std::array<double, 12> numbers{};
  for (std::size_t i = 0; i < kMetrics.size(); ++i) {
    Mean mean;
    for (std::size_t k = 0; k < e.categories; ++k)
      add(e, kMetrics[i], k, mean);
    numbers[i] = mean.value();
  }
  return numbers;
}

std::vector<double> category_precision(const Evaluation& e) {
  std::vector<double> values;
  for (std::size_t k = 0; k < e.categories; ++k) {
    Mean mean;
    add(e, kMetrics[0], k, mean);
    values.push_back(mean.value());
  }
  return values;
}

std::string summary_text(const std::array<double, 12>& numbers) {
  std::string text;
  for (std::size_t i = 0; i < kMetrics.size(); ++i) {
    const Metric& m = kMetrics[i];
    const std::string iou =
        m.threshold < 0
            ? "0.50:0.95"
            : fmt::format("{:.2f}", kIouThresholds[static_cast<std::size_t>(
                                        m.threshold)]);
    text += fmt::format(
        " {:<18} {} @[ IoU={:<9} | area={:>6} | maxDets={:>3} ] = {:.3f}\n",
        m.precision ? "Average Precision" : "Average Recall",
        m.precision ? "(AP)" : "(AR)", iou, kAreaRanges[m.area].name,
        kDetectionLimits[m.limit], numbers[i]);
  }
  return text;
}

}  // namespace music::coco
