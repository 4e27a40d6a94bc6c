#include "music/eval/coco/evaluate.h"

#include <algorithm>
#include <array>
#include <limits>
#include <span>

#include "music/detect/rle.h"
#include "music/eval/coco/cells.h"
#include "music/eval/coco/match.h"
#include "music/eval/coco/parallel.h"

namespace music::coco {
namespace {

using AreaMarks = std::array<Marks, kAreas>;

struct Scorer {
  const GroundTruth& truth;
  const Results& results;
  IouType type;
  bool never_match_id_0;
  Cells cells;
  std::vector<AreaMarks> marks;  // of cells.detections

  const Annotation& annotation(std::size_t i) const {
    return truth.annotations[cells.truths[i]];
  }
  const Detection& detection(std::size_t i) const {
    return results.detections[cells.detections[i]];
  }
  static std::size_t counted(const Cell& c) {
    return std::min(c.detections, kDetectionLimits.back());
  }

  detect::Rle mask(const std::string& text, std::int32_t image) const {
    const Image& i = truth.images[static_cast<std::size_t>(image)];
    return detect::rle_from_text(text, i.height, i.width);
  }

  std::vector<double> ious(const Cell& c) const {
    std::vector<double> out;
    const std::size_t n = counted(c);
    if (n == 0 || c.truths == 0) return out;
    out.reserve(n * c.truths);
    std::vector<detect::Rle> masks;
    if (type == IouType::kMask)
      for (std::size_t g = 0; g < c.truths; ++g)
        masks.push_back(
            mask(truth.masks[cells.truths[c.first_truth + g]], c.image));
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t at = c.first_detection + i;
      detect::Rle own;
      if (type == IouType::kMask)
        own = mask(results.masks[cells.detections[at]], c.image);
      for (std::size_t g = 0; g < c.truths; ++g) {
        const Annotation& a = annotation(c.first_truth + g);
        out.push_back(type == IouType::kMask
                          ? detect::rle_iou(own, masks[g], a.crowd)
                          : box_iou(detection(at).box, a.box, a.crowd));
      }
    }
    return out;
  }

  void match_cell(const Cell& c) {
    const std::size_t n = counted(c);
    const std::vector<double> overlaps = ious(c);
    std::vector<Truth> truths;
    for (std::size_t g = 0; g < c.truths; ++g) {
      const Annotation& a = annotation(c.first_truth + g);
      truths.push_back({a.area, a.crowd, !(never_match_id_0 && a.id == 0)});
    }
    std::vector<double> areas;
    for (std::size_t i = 0; i < n; ++i)
      areas.push_back(detection(c.first_detection + i).area);
    std::vector<Marks> found(n);
    for (std::size_t r = 0; r < kAreas; ++r) {
      match(areas, truths, overlaps, kAreaRanges[r], found);
      for (std::size_t i = 0; i < n; ++i)
        marks[c.first_detection + i][r] = found[i];
    }
  }
};

// A category's detections that count, all images together, the best first.
struct Ranked {
  double score = 0;
  std::uint32_t rank = 0;  // within its image
  const AreaMarks* marks = nullptr;
};

std::vector<Ranked> rank(const Scorer& s, std::span<const Cell> cells) {
  std::vector<Ranked> all;
  for (const Cell& c : cells)
    for (std::size_t i = 0; i < Scorer::counted(c); ++i) {
      const std::size_t at = c.first_detection + i;
      all.push_back({s.detection(at).score, static_cast<std::uint32_t>(i),
                     &s.marks[at]});
    }
  std::stable_sort(all.begin(), all.end(), [](const Ranked& a, const Ranked& b) {
    return a.score > b.score;
  });
  return all;
}

// Precision at the recalls and the last recall, of one curve.
void fill_curve(std::span<const Ranked> all, std::size_t t, std::size_t k,
                std::size_t a, std::size_t m, Evaluation& out,
                std::vector<double>& rc, std::vector<double>& pr) {
  const auto positives =
      static_cast<double>(out.positives[k * kAreas + a]);
  rc.clear();
  pr.clear();
  double tp = 0, fp = 0;
  for (const Ranked& d : all) {
    if (d.rank >= kDetectionLimits[m]) continue;
    const Marks& marks = (*d.marks)[a];
    if (!(marks.ignored >> t & 1)) (marks.matched >> t & 1 ? tp : fp) += 1;
    rc.push_back(tp / positives);
    pr.push_back(tp / (fp + tp + std::numeric_limits<double>::epsilon()));
  }
  for (std::size_t i = pr.size(); i-- > 1;)
    pr[i - 1] = std::max(pr[i - 1], pr[i]);
  out.recall_at(t, k, a, m) = rc.empty() ? 0 : rc.back();
  std::size_t at = 0;
  for (std::size_t r = 0; r < kRecalls; ++r) {
    while (at < rc.size() && rc[at] < kRecallThresholds[r]) ++at;
    out.precision_at(t, r, k, a, m) = at < pr.size() ? pr[at] : 0;
  }
}

}  // namespace

Evaluation evaluate(const GroundTruth& truth, const Results& results,
                    IouType type, bool never_match_id_0) {
  Scorer s{truth, results, type, never_match_id_0,
           group_cells(truth, results), {}};
  s.marks.resize(results.detections.size());
  const std::vector<Cell>& cells = s.cells.cells;
  parallel_records(cells.size(),
                   [&](std::size_t i) { s.match_cell(cells[i]); });

  Evaluation out;
  out.categories = truth.categories.size();
  out.precision.assign(kThresholds * kRecalls * out.categories * kAreas * kLimits,
                       -1);
  out.recall.assign(kThresholds * out.categories * kAreas * kLimits, -1);
  out.positives.assign(out.categories * kAreas, 0);
  for (const Annotation& a : truth.annotations)
    for (std::size_t r = 0; r < kAreas; ++r)
      out.positives[static_cast<std::size_t>(a.category) * kAreas + r] +=
          !a.crowd && kAreaRanges[r].holds(a.area);
  for (const Cell& c : cells)
    out.beyond_limit += static_cast<std::int64_t>(c.detections -
                                                  Scorer::counted(c));
  // Of each category, where its cells begin.
  std::vector<std::size_t> begin(out.categories + 1, cells.size());
  for (std::size_t i = cells.size(); i-- > 0;)
    begin[static_cast<std::size_t>(cells[i].category)] = i;
  for (std::size_t k = out.categories; k-- > 0;)
    begin[k] = std::min(begin[k], begin[k + 1]);
#pragma omp parallel for schedule(dynamic, 1)
  for (std::size_t k = 0; k < out.categories; ++k) {
    const auto all = rank(
        s, std::span(cells).subspan(begin[k], begin[k + 1] - begin[k]));
    std::vector<double> rc, pr;
    for (std::size_t a = 0; a < kAreas; ++a) {
      if (out.positives[k * kAreas + a] == 0) continue;
      for (std::size_t m = 0; m < kLimits; ++m)
        for (std::size_t t = 0; t < kThresholds; ++t)
          fill_curve(all, t, k, a, m, out, rc, pr);
    }
  }
  return out;
}

}  // namespace music::coco
