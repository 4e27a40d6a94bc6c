#pragma once
// COCO's scores, naively: masks are pixels, a match is looked for in two rounds,
// precision at a recall is the largest of all points that reach it.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "music/detect/rle.h"
#include "music/eval/coco/evaluate.h"

namespace music::reference {

class Coco {
 public:
  Coco(const coco::GroundTruth& truth, const coco::Results& results,
       coco::IouType type)
      : truth_(truth), results_(results), masks_(type == coco::IouType::kMask) {}

  coco::Evaluation evaluate() const {
    coco::Evaluation out;
    out.categories = truth_.categories.size();
    const std::size_t entries =
        coco::kThresholds * out.categories * coco::kAreas * coco::kLimits;
    out.recall.assign(entries, -1);
    out.precision.assign(entries * coco::kRecalls, -1);
    for (std::size_t k = 0; k < out.categories; ++k)
      for (std::size_t a = 0; a < coco::kAreas; ++a)
        for (std::size_t m = 0; m < coco::kLimits; ++m)
          for (std::size_t t = 0; t < coco::kThresholds; ++t)
            curve(out, k, a, m, t);
    return out;
  }

 private:
  struct Point {
    double score;
    bool hit, ignored;
  };

  double iou(std::size_t d, std::size_t g) const {
    const auto& detection = results_.detections[d];
    const auto& annotation = truth_.annotations[g];
    if (!masks_) {
      const auto &p = detection.box, &q = annotation.box;
      const double w =
          std::min(p[0] + p[2], q[0] + q[2]) - std::max(p[0], q[0]);
      const double h =
          std::min(p[1] + p[3], q[1] + q[3]) - std::max(p[1], q[1]);
      if (w <= 0 || h <= 0) return 0;
      const double own = p[2] * p[3];
      return w * h / (annotation.crowd ? own : own + q[2] * q[3] - w * h);
    }
    const auto& image =
        truth_.images[static_cast<std::size_t>(detection.image)];
    const auto pixels = [&](const std::string& text) {
      return detect::rle_to_pixels(
          detect::rle_from_text(text, image.height, image.width));
    };
    const auto p = pixels(results_.masks[d]), q = pixels(truth_.masks[g]);
    double both = 0, any = 0, own = 0;
    for (std::size_t i = 0; i < p.size(); ++i) {
      both += p[i] && q[i];
      any += p[i] || q[i];
      own += p[i];
    }
    return both == 0 ? 0 : both / (annotation.crowd ? own : any);
  }

  void curve(coco::Evaluation& out, std::size_t k, std::size_t a, std::size_t m,
             std::size_t t) const {
    const coco::AreaRange& range = coco::kAreaRanges[a];
    std::vector<Point> points;
    int positives = 0;
    for (std::size_t image = 0; image < truth_.images.size(); ++image) {
      const auto here = [&](const auto& x) {
        return static_cast<std::size_t>(x.image) == image &&
               static_cast<std::size_t>(x.category) == k;
      };
      std::vector<std::size_t> found, truths;
      for (std::size_t d = 0; d < results_.detections.size(); ++d)
        if (here(results_.detections[d])) found.push_back(d);
      for (std::size_t g = 0; g < truth_.annotations.size(); ++g)
        if (here(truth_.annotations[g])) truths.push_back(g);
      const auto score = [&](std::size_t d) {
        return results_.detections[d].score;
      };
      std::stable_sort(found.begin(), found.end(), [&](auto x, auto y) {
        return score(x) > score(y);
      });
      if (found.size() > 100) found.resize(100);
      const auto ignored = [&](std::size_t g) {
        const auto& x = truth_.annotations[g];
        return x.crowd || x.area < range.low || x.area > range.high;
      };
      for (const std::size_t g : truths) positives += !ignored(g);
      std::vector<std::size_t> taken;
      for (std::size_t i = 0; i < found.size(); ++i) {
        const std::size_t d = found[i];
        int match = -1;
        for (const bool round : {false, true}) {  // what counts goes first
          double best = std::min(coco::kIouThresholds[t], 1 - 1e-10);
          for (const std::size_t g : truths) {
            const bool free =
                truth_.annotations[g].crowd ||
                std::find(taken.begin(), taken.end(), g) == taken.end();
            if (ignored(g) != round || !free || iou(d, g) < best) continue;
            best = iou(d, g);
            match = static_cast<int>(g);
          }
          if (match >= 0) break;
        }
        const double area = results_.detections[d].area;
        if (match >= 0) taken.push_back(static_cast<std::size_t>(match));
        if (i >= coco::kDetectionLimits[m]) continue;
        points.push_back(
            {score(d), match >= 0,
             match >= 0 ? ignored(static_cast<std::size_t>(match))
                        : area < range.low || area > range.high});
      }
    }
    if (positives == 0) return;
    std::stable_sort(points.begin(), points.end(),
                     [](const Point& x, const Point& y) {
                       return x.score > y.score;
                     });
    std::vector<double> recall, precision;
    int hits = 0, misses = 0;
    for (const Point& p : points) {
      if (!p.ignored) ++(p.hit ? hits : misses);
      recall.push_back(static_cast<double>(hits) / positives);
      precision.push_back(hits / (static_cast<double>(hits + misses) + 0x1p-52));
    }
    out.recall_at(t, k, a, m) = recall.empty() ? 0 : recall.back();
    for (std::size_t r = 0; r < coco::kRecalls; ++r) {
      double best = 0;
      for (std::size_t i = 0; i < recall.size(); ++i)
        if (recall[i] >= coco::kRecallThresholds[r])
          best = std::max(best, precision[i]);
      out.precision_at(t, r, k, a, m) = best;
    }
  }

  const coco::GroundTruth& truth_;
  const coco::Results& results_;
  bool masks_;
};

}  // namespace music::reference
