#pragma once
// Detections against ground truth, as COCOeval of pycocotools 2.0.11 does it.

#include <array>
#include <cstdint>
#include <vector>

#include "music/eval/coco/ground_truth.h"
#include "music/eval/coco/protocol.h"
#include "music/eval/coco/results.h"

namespace music::coco {

struct Evaluation {
  std::size_t categories = 0;
  // [thresholds, recalls, categories, areas, limits] and [thresholds,
  // categories, areas, limits]; -1 where no ground truth counts.
  std::vector<double> precision, recall;
  // Ground truths that count, [categories, areas].
  std::vector<std::int64_t> positives;
  std::int64_t beyond_limit = 0;  // detections past 100 of image and category

  double& precision_at(std::size_t t, std::size_t r, std::size_t k,
                       std::size_t a, std::size_t m) {
    return precision[(((t * kRecalls + r) * categories + k) * kAreas + a) *
                         kLimits + m];
  }
  double precision_at(std::size_t t, std::size_t r, std::size_t k,
                      std::size_t a, std::size_t m) const {
    return const_cast<Evaluation*>(this)->precision_at(t, r, k, a, m);
  }
  double& recall_at(std::size_t t, std::size_t k, std::size_t a,
                    std::size_t m) {
    return recall[((t * categories + k) * kAreas + a) * kLimits + m];
  }
  double recall_at(std::size_t t, std::size_t k, std::size_t a,
                   std::size_t m) const {
    return const_cast<Evaluation*>(this)->recall_at(t, k, a, m);
  }
};

// never_match_id_0: an annotation with the id 0 is never found (pycocotools
// stores matches as ids, 0 for none). The same on any number of threads.
Evaluation evaluate(const GroundTruth& truth, const Results& results,
                    IouType type, bool never_match_id_0 = false);

}  // namespace music::coco
